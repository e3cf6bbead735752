"""Distill a published sentence encoder into the small one that the pipeline uses, over reviews of many kinds."""
