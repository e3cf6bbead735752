"""Finds reviews whose label is likely wrong, by cross-validated probabilities."""
