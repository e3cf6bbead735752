"""Sentiment of product reviews: the library behind the pipeline, and the `sentiment` command."""
