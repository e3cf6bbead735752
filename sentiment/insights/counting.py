"""Count the words and phrases of reviews, with what each contributes to the logit of its review.

    counter = PhraseCounter(classifier)
    counter.add(texts)              # chunk by chunk
    corpus = counter.finish(20)     # phrases in at least 20 reviews

A phrase is one word, or two or three adjacent ones with a blank or a hyphen between them. It neither begins nor ends
with a stop word, but it may begin with a negation or "too", and end with a particle: "not soft", "too big", "fell
apart". A word after a negation counts with it alone. The lists of these words are our own, and English; a word of
another language stands in the table like any other.

Memory: the texts, and 20 bytes for each phrase of each review until the rare ones are dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sentiment.encoder.frozen import TokensWithOffsets
from sentiment.inference.classifier import SentimentClassifier
from sentiment.inference.explanation import WORD, Span, attribute, split_clauses

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]

BITS = 21  # of a word's number in the key of a phrase: 3 of them fit into an int64
MAX_WORDS = 2**BITS - 1  # different words; later ones are in no phrase
MASK = 2**BITS - 1


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STOP_WORDS = _words("""
a about above after again all almost along already also although always am an and another any anyone anything apart are
aren't around as at back be because been before being below between bit both but by came can can't cannot come
comes coming could couldn't did didn't do does doesn't doing don't done down each either else enough even ever
every everyone everything extremely few for from further get gets getting give go goes going gone got had hadn't
has hasn't have haven't having he her here hers herself him his how however i i'd i'll i'm i've if in instead into
is isn't it it'd it'll it's its itself just keep kept kind know let like little lot lots made make makes making
many may maybe me might mine more most much must my myself neither never no nobody none nor not nothing now of off
often on once one ones only or other others otherwise our ours out over own per perhaps put quite rather really
same saw say says see seem seemed seems seen several she should shouldn't since so some someone something sort
still such super take taken takes taking than that that's the their them themselves then there there's these they
they're thing things think this those though three through thus tiny to too took toward towards tried try trying
two under until up upon us use used using very was wasn't way we we're well went were weren't what what's whatever
when where which while who whole whom whose why will with within without won't would wouldn't yes yet you you'd
you'll you're you've your yours yourself
""")

NEGATIONS = _words("""
aren't can't cannot couldn't didn't doesn't don't hadn't hasn't haven't isn't never no not nothing shouldn't wasn't
weren't without won't wouldn't
""")
MAY_BEGIN = NEGATIONS | {"too"}  # may begin a phrase: "not soft", "too big"
MAY_END = _words("apart back down off out up")  # may end a phrase: "fell apart", "sent back"
MAY_BE_INSIDE = NEGATIONS | _words("a an and as at for in is it of on the to too very was way")  # "out of shape"

# "disappointed" and "returned" say that a customer is unhappy, and not with what
VERDICTS = _words("""
absolutely amazing arrived awesome awful bad beautiful best better bought bummed bummer buy buying completely
compliment compliments decided definitely deserves disappoint disappointed disappointing disappointment dislike
disliked excellent excited expect expectation expectations expected expecting fabulous fantastic fault favorite
feel feeling feels felt fine found glad good gorgeous great happier happy hate hated hesitate hope hoped hopeful
hopes hoping horrible idea immediately keep keeper keeping least liked likes look looked looking looks lovable love
loved lovely loves loving nice ok okay order ordered ordering perfect perfectly piece please pleased pretty problem
product purchase purchased purchasing received recommend recommended refund regret reordered return returned
returning returns review reviewer reviewers reviews sad sadly saw send sending sent sorry star stars sure terrible
thought thrilled tried unfortunately unhappy upset wait waited wanted wanting wants wear wearing wish wished
wonderful work worked working works worn worse worst wow wrong
""")


@dataclass(frozen=True)
class Totals:
    """What the logits of all reviews are made of: bias + special_tokens + words = logits."""

    bias: float = 0.0
    special_tokens: float = 0.0
    words: float = 0.0
    logits: float = 0.0


@dataclass(frozen=True)
class Phrase:
    """A phrase, and the reviews that have it.

    Attributes:
        words: one to three, in lower case.
        reviews: indices of the reviews, ascending, shape (n,).
        contributions: of the phrase to the logit of each of these reviews, shape (n,).
        clauses: of each of these reviews, the clause with the phrase that pulls most to negative, shape (n,).
    """

    words: tuple[str, ...]
    reviews: Int32s
    contributions: Float64s
    clauses: Int32s

    @property
    def text(self) -> str:
        """The words, with blanks between them."""
        return " ".join(self.words)


class WordNumbers:
    """Numbers words from 1 in the order of their first occurrence, and knows which may begin, end or be a phrase."""

    def __init__(self) -> None:
        self.words = [""]
        self._numbers: dict[str, int] = {}
        self._kinds = [(False,) * 5]

    def __getitem__(self, word: str) -> int:
        """Return the number of a word; 0 where there are too many different ones."""
        number = self._numbers.get(word)
        if number is None:
            if len(self.words) > MAX_WORDS:
                return 0
            number = self._numbers[word] = len(self.words)
            self.words.append(word)
            is_content = word not in STOP_WORDS and not word.isdigit() and len(word) > 1
            may_begin, may_end = is_content or word in MAY_BEGIN, is_content or word in MAY_END
            self._kinds.append((is_content, may_begin, may_end or word in MAY_BE_INSIDE, may_end, word in NEGATIONS))
        return number

    def words_of(self, key: int) -> tuple[str, ...]:
        """Return the words of the key of a phrase."""
        numbers = (key >> (BITS * place) & MASK for place in range(3))
        return tuple(self.words[number] for number in numbers if number)

    def kinds(self) -> NDArray[np.bool_]:
        """Return whether a word has content, may begin a phrase, be in it, end it, and negates. # (n_words + 1, 5)"""
        return np.array(self._kinds)


class PhraseCounter:
    """Collects the phrases of reviews, chunk by chunk.

    Attributes:
        n_reviews: with text, so far.
        totals: of these reviews.
        texts: of these reviews, as they were encoded.
        probabilities: of "positive".
    """

    def __init__(self, classifier: SentimentClassifier) -> None:
        self._classifier = classifier
        self._numbers = WordNumbers()
        self._keys: list[Int64s] = []
        self._clauses: list[Int32s] = []
        self._contributions: list[Float64s] = []
        self._clause_reviews: list[Int32s] = []
        self._clause_spans: list[Int32s] = []
        self._clause_sums: list[Float64s] = []
        self._n_clauses = 0
        self.n_reviews = 0
        self.totals = Totals()
        self.texts: list[str] = []
        self.probabilities: list[float] = []

    def add(self, texts: Sequence[str]) -> None:
        """Attribute the logits of texts, cleaned and none of them blank, to their words, and collect their phrases."""
        tokens = self._classifier.tokenize_with_offsets(texts)
        attributions = attribute(self._classifier, tokens)
        numbers: list[int] = []  # of each word of the chunk
        spans: list[Span] = []  # of each clause
        reviews: list[int] = []  # of each clause
        clauses, contributions, is_adjacent = [], [], []  # of the words of each text
        other = special = 0.0
        for index, (text, one, attribution) in enumerate(zip(texts, tokens, attributions, strict=True)):
            words = word_contributions(text, one, attribution.by_token)
            special += words.special
            other += words.other
            text_spans = split_clauses(text)
            starts = np.array([start for start, _ in text_spans])
            numbers += [self._numbers[word] for word in words.words]
            clauses.append(self._n_clauses + len(spans) + np.searchsorted(starts, words.starts, side="right") - 1)
            contributions.append(words.contributions)
            is_adjacent.append(words.is_adjacent)
            spans += text_spans
            reviews += [self.n_reviews + index] * len(text_spans)
        self._collect(
            np.array(numbers, np.int64),
            np.concatenate(clauses),
            np.concatenate(contributions),
            np.concatenate(is_adjacent),
            len(spans),
        )
        self._clause_reviews.append(np.array(reviews, np.int32))
        self._clause_spans.append(np.array(spans, np.int32).reshape(-1, 2))
        self._n_clauses += len(spans)
        self.n_reviews += len(texts)
        self.texts += texts
        self.probabilities += [one.probability for one in attributions]
        logits = sum(one.logit for one in attributions)
        words_sum = other + float(sum(map(np.sum, contributions)))
        bias = sum(one.logit - float(one.by_token.sum()) for one in attributions)
        total = self.totals
        self.totals = Totals(
            total.bias + bias, total.special_tokens + special, total.words + words_sum, total.logits + logits
        )

    def _collect(
        self, numbers: Int64s, clauses: Int64s, contributions: Float64s, is_adjacent: NDArray[np.bool_], n_clauses: int
    ) -> None:
        """Add the phrases and clauses of a chunk, whose words are given one after the other."""
        self._clause_sums.append(np.bincount(clauses - self._n_clauses, contributions, n_clauses).astype(np.float64))
        clauses = clauses.astype(np.int32)
        is_first = ~is_adjacent
        is_first[1:] |= clauses[1:] != clauses[:-1]
        runs = is_first.cumsum()  # phrases are parts of runs
        has_content, may_begin, may_be_inside, may_end, is_negation = self._numbers.kinds()[numbers].T
        is_negated = np.zeros(len(numbers), np.bool_)  # "flattering" in "not flattering", which is another phrase
        is_negated[1:] = is_negation[:-1] & ~is_first[1:]
        may_begin &= ~is_negated
        is_word = has_content & ~is_negated
        self._append(numbers[is_word], clauses[is_word], contributions[is_word])
        for n_words in range(2, min(3, len(numbers)) + 1):
            windows = sliding_window_view(numbers, n_words)  # (n_windows, n_words)
            is_phrase = runs[: len(windows)] == runs[n_words - 1 :]
            is_phrase &= may_begin[: len(windows)] & may_end[n_words - 1 :]
            is_phrase &= sliding_window_view(has_content, n_words).any(axis=1) & (windows > 0).all(axis=1)
            if n_words == 3:
                is_phrase &= may_be_inside[1:-1]
            key = (windows[is_phrase] << (BITS * np.arange(n_words))).sum(axis=1)
            sums = sliding_window_view(contributions, n_words)[is_phrase].sum(axis=1)
            self._append(key, clauses[: len(windows)][is_phrase], sums)

    def _append(self, keys: Int64s, clauses: Int32s, contributions: Float64s) -> None:
        self._keys.append(keys)
        self._clauses.append(clauses)
        self._contributions.append(contributions)

    def finish(self, min_support: int) -> "Corpus":
        """Return the reviews with the phrases that at least `min_support` of them have."""
        clause_reviews = np.concatenate([np.empty(0, np.int32), *self._clause_reviews])
        clause_sums = np.concatenate([np.empty(0), *self._clause_sums])
        keys = np.concatenate([np.empty(0, np.int64), *self._keys])
        clauses = np.concatenate([np.empty(0, np.int32), *self._clauses])
        contributions = np.concatenate([np.empty(0), *self._contributions])
        for chunks in (self._keys, self._clauses, self._contributions):
            chunks.clear()
        order = np.lexsort((clause_sums[clauses], clause_reviews[clauses], keys))
        keys, clauses, contributions = keys[order], clauses[order], contributions[order]
        reviews = clause_reviews[clauses]
        is_first = np.ones(len(keys), np.bool_)  # of its phrase and review
        is_first[1:] = (keys[1:] != keys[:-1]) | (reviews[1:] != reviews[:-1])
        firsts = np.flatnonzero(is_first)
        sums = np.add.reduceat(contributions, firsts) if len(firsts) else contributions
        unique, starts, supports = np.unique(keys[firsts], return_index=True, return_counts=True)
        phrases = [
            Phrase(
                self._numbers.words_of(key),
                reviews[firsts[start : start + support]],
                sums[start : start + support],
                clauses[firsts[start : start + support]],
            )
            for key, start, support in zip(unique.tolist(), starts.tolist(), supports.tolist(), strict=True)
            if support >= min_support
        ]
        spans = np.concatenate([np.empty((0, 2), np.int32), *self._clause_spans])
        probabilities = np.array(self.probabilities, np.float32)
        return Corpus(self.texts, probabilities, phrases, clause_reviews, spans, clause_sums, self.totals)


@dataclass(frozen=True)
class Corpus:
    """Reviews and their phrases.

    Attributes:
        texts: as they were encoded.
        probabilities: of "positive", float32, shape (n_reviews,).
        phrases: in no particular order.
        clause_reviews: index of the review of each clause, shape (n_clauses,).
        clause_spans: start and end of each clause in its text, shape (n_clauses, 2).
        clause_sums: contribution of all words of each clause, shape (n_clauses,).
        totals: of all reviews.
    """

    texts: Sequence[str]
    probabilities: NDArray[np.float32]
    phrases: Sequence[Phrase]
    clause_reviews: Int32s
    clause_spans: Int32s
    clause_sums: Float64s
    totals: Totals

    def clause_text(self, clause: int) -> str:
        """Return the text of a clause."""
        start, end = self.clause_spans[clause].tolist()
        return self.texts[int(self.clause_reviews[clause])][start:end]


class WordContributions(NamedTuple):
    """What the tokens of a text contribute to its logit.

    Attributes:
        words: in lower case, with straight apostrophes.
        starts: of the words in the text, shape (n_words,).
        is_adjacent: whether only a blank or a hyphen is between a word and the one before, shape (n_words,).
        contributions: of the words, each with the punctuation behind it, shape (n_words,).
        other: of punctuation in a text without words.
        special: of the tokens that the encoder adds.
    """

    words: list[str]
    starts: Int64s
    is_adjacent: NDArray[np.bool_]
    contributions: Float64s
    other: float
    special: float


def word_contributions(text: str, tokens: TokensWithOffsets, by_token: Float64s) -> WordContributions:
    """Sum the contributions of the tokens of a text by word; words behind the last token are left out."""
    matches = list(WORD.finditer(text))
    starts = np.array([match.start() for match in matches], np.int64)
    is_special = np.array(tokens.is_special)
    last = np.array(tokens.offsets)[~is_special, 1] - 1  # of each token: its first character may be the blank before it
    own = by_token[~is_special]
    special = float(by_token[is_special].sum())
    if not matches or not len(last):
        return WordContributions([], starts[:0], np.empty(0, np.bool_), np.empty(0), float(own.sum()), special)
    indices = np.maximum(np.searchsorted(starts, last, side="right") - 1, 0)
    n_read = int(indices.max()) + 1
    words = [match[0].lower().replace("\u2019", "'") for match in matches[:n_read]]
    is_adjacent = np.array([False, *(b.start() - a.end() == 1 and text[a.end()] in " -" for a, b in pairwise(matches))])
    sums = np.bincount(indices, own, n_read).astype(np.float64)
    return WordContributions(words, starts[:n_read], is_adjacent[:n_read], sums, 0.0, special)
