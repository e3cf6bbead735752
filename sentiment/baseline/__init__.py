"""Baselines that a classifier should beat: TF-IDF with logistic regression, and the majority class."""
