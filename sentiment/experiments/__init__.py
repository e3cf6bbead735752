"""Experiments: revisions of the project, their comparison and table, a TF-IDF baseline."""
