"""Behavioral tests of a classifier: texts built from templates, whose label, or its change, a reader knows."""
