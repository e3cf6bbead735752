"""Explanation in; its words in colors for a terminal, or a mapping for JSON, out.

    wrapped(words_in_color(text, explanation, use_color=True), width=80)

Colors are those of the terminal's own theme, so that they are readable on light and on dark: green speaks for positive,
red and underlined for negative; bold and then reverse are stronger. Wrapping and the width of characters are rich's.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from sentiment.inference.explanation import Explanation, Word

DECIMALS = 9  # of numbers in JSON: 512 rounded contributions still add up to the logit to 1e-6
LEVELS = ((0.7, "bold reverse"), (0.4, "bold"), (0.15, ""))  # from this share of the largest contribution on
POSITIVE, NEGATIVE = "green", "red underline"


def as_mapping(text: str, explanation: Explanation) -> dict[str, Any]:
    """Return what is written as JSON; offsets count the code points of `text`."""
    return {
        "text": text,
        "method": explanation.method,
        "logit": round(explanation.logit, DECIMALS),
        "bias": round(explanation.bias, DECIMALS),
        "special_tokens": round(explanation.special_tokens, DECIMALS),
        "is_truncated": explanation.is_truncated,
        "words": [
            {
                "text": word.text,
                "start": word.start,
                "end": word.end,
                "contribution": round(word.contribution, DECIMALS),
            }
            for word in explanation.words
        ],
    }


def should_use_color(is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Return whether to color: on a terminal that can, unless NO_COLOR is set (https://no-color.org)."""
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM", "") not in ("", "dumb")


def words_in_color(text: str, explanation: Explanation) -> Text:
    """Return `text` with colored words; the more a word contributes, the stronger its style."""
    colored = Text(text)
    largest = max((abs(word.contribution) for word in explanation.words), default=0.0)
    for word in explanation.words:
        if style := style_of(word.contribution, largest):
            colored.stylize(style, word.start, word.end)
    return colored


def style_of(contribution: float, largest: float) -> str:
    """Return the style of a word by its share of the largest contribution; "" for a small one."""
    share = abs(contribution) / largest if largest else 0.0
    weight = next((weight for least, weight in LEVELS if share >= least), None)
    return "" if weight is None else f"{POSITIVE if contribution > 0 else NEGATIVE} {weight}".strip()


def strongest_words(words: Sequence[Word], width: int) -> str:
    """Return the words of the largest contributions with their signs, as many as `width` columns take, at least one."""
    order = sorted(words, key=lambda word: -abs(word.contribution))
    parts = [f"{word.contribution:+.2f} {_printable(word.text)}" for word in order]
    line = parts[0] if parts else ""
    for part in parts[1:]:
        if cell_len(line) + 2 + cell_len(part) > width:
            break
        line += f"  {part}"
    return line


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def wrapped(text: Text, width: int, use_color: bool) -> list[str]:
    """Return the lines of a text of at most `width` columns, with escape codes where `use_color`."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=use_color, no_color=not use_color,
        color_system="standard" if use_color else None, _environ={},
    )  # fmt: skip
    lines = text.wrap(console, width)
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return captured.get().splitlines()
