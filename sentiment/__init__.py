"""Sentiment of product reviews: the library behind the pipeline, and the `sentiment` command."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentiment.inference.classifier import SentimentClassifier

__all__ = ["SentimentClassifier"]


def __getattr__(name: str) -> Any:
    """Import the classifier when it is asked for, so that a stage does not import what it does not use."""
    if name == "SentimentClassifier":
        from sentiment.inference.classifier import SentimentClassifier

        return SentimentClassifier
    raise AttributeError(f"module 'sentiment' has no attribute '{name}'")
