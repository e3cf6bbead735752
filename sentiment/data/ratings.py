"""Read ratings and labels as people write them."""

import math
import re

import pandas as pd

from sentiment.common.errors import InputError
from sentiment.data.text import format_rating

MISSING_ADVICE = "prepare.on_missing_label=drop leaves such rows out"

# "4", "4.5", "4,5", "4.0 out of 5 stars", "4/5", "5 stars", "80%"
WRITTEN_RATING = re.compile(
    r"\s*(-?\d+(?:[.,]\d+)?)\s*(?:(?:/|out of|of|von|sur|de)\s*(\d+(?:[.,]\d+)?))?\s*"
    r"(?:stars?|stern(?:en?)?|étoiles?|estrellas?|estrelas?|stell[ae]|points?|punkt(?:en?)?|★+|(%))?\s*",
    re.IGNORECASE,
)
DRAWN_RATING = re.compile(r"\s*((?:[★⭐]\ufe0f?)+)(☆*)\s*")  # "★★★★☆", "⭐⭐⭐"


def read_rating(written: str) -> float:
    """Return the number in a rating as people write it; NaN where there is none.

    >>> read_rating("4.0 out of 5 stars"), read_rating("4/5"), read_rating("4,5"), read_rating("good")
    (4.0, 4.0, 4.5, nan)
    >>> read_rating("★★★★☆"), read_rating("80%"), read_rating("1 Stern")
    (4.0, 80.0, 1.0)
    """
    if match := WRITTEN_RATING.fullmatch(written):
        return _number(match[1])
    drawn = DRAWN_RATING.fullmatch(written)
    return float(len(drawn[1].replace("\ufe0f", ""))) if drawn else math.nan


def scale_end(written: str) -> float | None:
    """Return the end of the scale that a rating names; None where it names none.

    >>> scale_end("4.0 out of 5 stars"), scale_end("4/10"), scale_end("4,5")
    (5.0, 10.0, None)
    >>> scale_end("★★★★☆"), scale_end("80%")
    (5.0, 100.0)
    """
    if match := WRITTEN_RATING.fullmatch(written):
        return _number(match[2]) if match[2] else 100.0 if match[3] else None
    drawn = DRAWN_RATING.fullmatch(written)
    return read_rating(drawn[1]) + len(drawn[2]) if drawn and drawn[2] else None


def _number(digits: str) -> float:
    return float(digits.replace(",", "."))


def label_key(value: object) -> str:
    """Return what a label is compared by: words without regard to case, 1.0 as "1", True as "true".

    >>> label_key(" Positive"), label_key("1.0"), label_key(True)
    ('positive', '1', 'true')
    """
    text = str(value).strip().casefold()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def parse_ratings(source: str, raw: "pd.Series[str]", lowest: float, highest: float) -> "pd.Series[float]":
    """Return the ratings as float64. # (n_rows,)

    Args:
        source: the file's name, for the message.
        raw: ratings as written, indexed by row number.

    Raises:
        InputError: names the first row whose rating is not a number from `lowest` to `highest`.
    """
    ratings = pd.to_numeric(raw, errors="coerce").astype(float)
    unread = ratings.isna()
    ratings[unread] = raw[unread].map(read_rating)
    wrong = ~ratings.between(lowest, highest)  # NaN is in no interval
    if wrong.any():
        row = raw.index[int(wrong.to_numpy().argmax())]
        raise InputError(
            f"{source}: row {row}, column '{raw.name}': found {raw.loc[row]!r}, "
            f"expected a number from {format_rating(lowest)} to {format_rating(highest)}"
            + ("" if raw.loc[row].strip() else f"; {MISSING_ADVICE}")
        )
    return ratings
