"""Measure this project and its baselines in the same run: `make bench`."""
