"""Tells whether new reviews are still what a classifier was trained on."""
