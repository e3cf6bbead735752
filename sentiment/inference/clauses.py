"""Split a text into clauses: at the ends of sentences, and where it turns: "but", "however", "although", "though"."""

import re
from dataclasses import dataclass

Span = tuple[int, int]  # start and end in the text

SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|[;\n]+")
# "not only soft but also warm" and "nothing but trouble" do not turn
TURN = re.compile(
    r"(?<!nothing )(?<!anything )\bbut\b(?! also\b)|\bhowever\b|\balthough\b"
    r"|\beven though\b|(?<!even )(?<!as )\bthough\b",
    re.IGNORECASE,
)
CONCESSION = re.compile(r"(?:even )?(?:al)?though\b[^,]*,", re.IGNORECASE)
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
MIN_WORDS = 2  # of a clause; "pretty, though." is one clause


@dataclass(frozen=True)
class Clause:
    """A clause of a text, labeled as a text of its own.

    Attributes:
        text: of the clause.
        label: as `SentimentClassifier.predict`.
        probability: of "positive".
    """

    text: str
    label: str
    probability: float


def split_sentences(text: str) -> list[Span]:
    """Return the sentences of a text, in order; only white space is in none of them."""
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return _between(text, 0, len(text), ends)


def split_clauses(text: str) -> list[Span]:
    """Return the clauses of a text, in order; only white space is in none of them.

    A conjunction belongs to the clause that it begins. A clause of one word is joined to the one before it in its
    sentence.

    >>> text = "Lovely fabric but runs small. Although it is pretty, I sent it back"
    >>> [text[start:end] for start, end in split_clauses(text)]
    ['Lovely fabric', 'but runs small.', 'Although it is pretty,', 'I sent it back']
    """
    return [span for start, end in split_sentences(text) for span in _clauses(text, start, end)]


def clause_texts(text: str) -> list[str]:
    """Return the texts of the clauses.

    >>> clause_texts("Lovely fabric but runs small")
    ['Lovely fabric', 'but runs small']
    """
    return [text[start:end] for start, end in split_clauses(text)]


def _clauses(text: str, start: int, end: int) -> list[Span]:
    """Return the clauses of the sentence from `start` to `end`."""
    cuts = [match.start() for match in TURN.finditer(text, start, end)]
    cuts += [match.end() for cut in [start, *cuts] if (match := CONCESSION.match(text, cut, end))]
    clauses: list[Span] = []
    for span in _between(text, start, end, sorted(set(cuts))):
        if clauses and (n_words(text, span) < MIN_WORDS or n_words(text, clauses[-1]) < MIN_WORDS):
            clauses[-1] = clauses[-1][0], span[1]
        else:
            clauses.append(span)
    return clauses


def n_words(text: str, span: Span) -> int:
    """Return the number of words in a part of a text."""
    return sum(1 for _ in WORD.finditer(text, *span))


def _between(text: str, start: int, end: int, cuts: list[int]) -> list[Span]:
    """Return what is between the cuts, without white space at its ends; empty spans are left out."""
    spans = []
    for first, last in zip([start, *cuts], [*cuts, end], strict=True):
        piece = text[first:last]
        if stripped := piece.strip():
            begin = first + len(piece) - len(piece.lstrip())
            spans.append((begin, begin + len(stripped)))
    return spans
