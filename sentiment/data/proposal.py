"""Propose which columns are the text and the label of reviews, and what counts as positive.

    proposal = propose(profile(source, layout), Choices())
    proposal.params["rating_column"], proposal.notes

By the values first, by the names second: names are in any language, and values say what they are.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sentiment.common.errors import InputError
from sentiment.common.tables import SPLITS
from sentiment.data.profile import Column, Profile
from sentiment.data.readers import FILE
from sentiment.data.schema import RESERVED_COLUMNS
from sentiment.data.splitting import SPLIT_NAMES
from sentiment.data.text import LENGTH, decode_html, format_rating
from sentiment.data.values import is_no_rating, is_time, label_key, read_rating, read_time, scale_end

TEXT_NAME = re.compile(
    r"review|text|comment|content|body|message|tweet|post|sentence|phrase|feedback|opinion|kommentar|bewertungstext"
    r"|avis|reseñ|opini|comentario|comentário|recension|отзыв|текст|评论|内容|レビュー",
    re.IGNORECASE,
)
OTHER_TEXT_NAME = re.compile(
    r"descri|answer|response|reply|product|item|address|url|link|user|author|name", re.IGNORECASE
)
TITLE_NAME = re.compile(r"title|summary|headline|subject|titel|titre|título|titolo|betreff|heading", re.IGNORECASE)
LABEL_NAME = re.compile(
    r"rating|star|score|overall|^note|sentiment|label|class|polarity|target|recommend|verdict|bewertung|stern|punkt"
    r"|puntu|calific|avalia|voto|stell|grade|оценк|评分|星|satisf|happy|like|^y$",
    re.IGNORECASE,
)
OTHER_NUMBER_NAME = re.compile(
    r"help|count|num|vote|feedback|age\b|year|month|price|confid|time|date|\bid|id$|length|index", re.IGNORECASE
)
FALLING_NAME = re.compile(r"schulnote|\brank(?:ing)?\b", re.IGNORECASE)  # 1 is the best
SCALES = ((1, 5), (0, 5), (1, 10), (0, 10), (0, 100))
SCALES_OF_SHARES = ((0, 1), (-1, 1))
FEW_RATINGS = 0.01  # of the rows; a scale that rests on fewer of them gets a note
MAX_LABELS = 20
MAX_HTML = 0.01  # share of texts with HTML, above which it is decoded
MIN_WORDS = 2.0  # of a text, on average
TIE = 0.97  # of the score of the likeliest text
MAX_SLICES, MAX_SLICE_VALUES = 4, 20
TIME_FORMATS = (None, "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%m %d, %Y", "%B %d, %Y")  # of split.time_format
VAL_FROM, TEST_FROM = 0.8, 0.9  # of the reviews are older
FEW, N_FOLDS = 1_000, 5  # reviews, below which metrics of one split vary widely
BY_TEXT: dict[str, object] = {
    **dict.fromkeys(("group_column", "time_column", "val_from", "test_from", "time_format", "column")), "folds": 0
}  # fmt: skip

Polarity = Literal["positive", "negative", "neutral"]


@dataclass(frozen=True)
class Choices:
    """What a person has decided; what is empty is proposed."""

    text: tuple[str, ...] = ()
    label: str | None = None
    rating: str | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    split_by: str | None = None
    time_format: str | None = None


class UndecidedError(InputError):
    """What only a person can decide.

    Attributes:
        choice: the field of `Choices` that decides it.
        values: which it can be, each with examples or counts.
    """

    def __init__(
        self, message: str, choice: Literal["text", "label", "positive", "time_format"], values: dict[str, str]
    ) -> None:
        super().__init__(message)
        self.choice, self.values = choice, values


@dataclass
class Proposal:
    """Params of the stages `prepare` and `split`.

    Attributes:
        text_columns: the body is the last.
        label_column: that of the ratings or labels.
        slice_columns: with few values.
        params: keys of the section `prepare`, without those of the file's format.
        split: keys of the section `split` that name a column, or say what to do with it.
        notes: what a person should know, a line each.
    """

    text_columns: list[str]
    label_column: str
    slice_columns: list[str]
    params: dict[str, object]
    split: dict[str, object]
    notes: list[str]

    @property
    def slices(self) -> list[str]:
        """What `evaluate.slices` can name."""
        return [*self.slice_columns, *(["rating"] if self.params["rating_column"] else []), LENGTH]


@dataclass(frozen=True)
class _Label:
    """A column that may be the label, and how likely."""

    column: Column
    score: float
    scale: tuple[float, float] | None = None  # of ratings
    sides: dict[str, Polarity | None] = field(default_factory=dict)  # of other labels


def propose(profile: Profile, choices: Choices) -> Proposal:
    """Return the params that fit the columns and the choices.

    Raises:
        UndecidedError: it is not clear which column is the text or the label, or which label is positive.
        InputError: a row is broken, or a choice does not fit; it says what to do.
    """
    for name in filter(None, (*choices.text, choices.label, choices.rating, choices.split_by)):
        if name not in profile.columns:
            file = f"{profile.missing[name]}: " if name in profile.missing else ""
            raise InputError(f"{file}column '{name}' is missing; found {_columns_of(profile)}")
    if profile.problems:
        raise InputError(f"{profile.problems[0]}; the stages stop at such a row: repair or remove it")
    label = _choose_label(profile, choices)
    name = label.column.name
    if label.scale and (choices.positive or choices.negative or _is_one_sided(label) or FALLING_NAME.search(name)):
        label = _Label(label.column, label.score)
    texts = list(choices.text) or _text_columns(profile, name)
    params, notes = _rating_params(label, choices) if label.scale else _label_params(label, choices)
    n_missing = label.column.n_rows - label.column.n_filled + (label.column.n_without if label.scale else 0)
    if n_missing:
        notes.append(f"{n_missing:,} of {label.column.n_rows:,} rows have no label, and are left out")
    others = [one.column.name for one in _labels(profile, choices) if one.score > 0]
    others = [other for other in others if other not in {name, *texts}]
    if others:
        notes.append(f"or, by --rating or --label, another column: {', '.join(map(repr, others))}")
    taken = {name, *others, *texts, *RESERVED_COLUMNS, LENGTH, FILE, ""}
    if profile.missing:
        notes.append(f"not in every file, and not used: {', '.join(map(repr, profile.missing))}")
    split_by = choices.split_by
    if split_by in {name, *texts, *RESERVED_COLUMNS, LENGTH}:
        raise InputError(
            f"column '{split_by}' is text or label, or has a name of the pipeline; split by another, or rename it"
        )
    slices = [
        other for other, column in profile.columns.items() if other not in {*taken, split_by} and _is_slice(column)
    ][:MAX_SLICES]
    params |= {
        "text_columns": texts, "slice_columns": [*slices, *([split_by] if split_by else [])],
        "on_missing_label": "drop" if n_missing else "error", "decode_html": False,
    }  # fmt: skip
    kept = [text for other in texts for text in profile.columns[other].texts]
    escaped = [text for text in kept if decode_html(text) != text]
    if len(escaped) > MAX_HTML * len(kept):
        params["decode_html"] = True
        notes.append(f"{len(escaped):,} of {len(kept):,} texts have HTML, such as '&amp;' or '<br />': it is decoded")
    if split_by:
        split, note = _split_by(profile.columns[split_by], choices.time_format)
        notes.append(note)
    else:
        split = {}
        notes += _split_notes([column for other, column in profile.columns.items() if other not in {name, *texts}])
    body = profile.columns[texts[-1]]
    n_texts = round(body.filled * profile.n_rows)
    folds = N_FOLDS if n_texts < FEW and not {"time_column", "column"} & split.keys() else 0
    if folds:
        notes.append(f"{n_texts:,} reviews are few: cross-validation in {folds} folds tests each of them (split.folds)")
    return Proposal(texts, name, slices, params, {**BY_TEXT, "folds": folds, **split}, notes)


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(repr(column.name) for column in columns)


def _examples(columns: Sequence[Column]) -> dict[str, str]:
    return {column.name: column.examples for column in columns}


def _nested_advice(profile: Profile) -> str:
    """Return how to make columns of the fields of a column's objects; nothing where no column has objects."""
    nested = [column.name for column in profile.columns.values() if column.is_nested]
    return (
        f"'{nested[-1]}' has objects: jq -c '. + .[\"{nested[-1]}\"]' makes columns of their fields" if nested else ""
    )


def _columns_of(profile: Profile) -> str:
    """Return the names of the columns for a message; and of those that are not in every file."""
    missing = f" (not in every file: {', '.join(map(repr, profile.missing))})" if profile.missing else ""
    return f"{', '.join(map(repr, profile.columns))}{missing}"


def _split_by(column: Column, time_format: str | None) -> tuple[dict[str, object], str]:
    """Return the params that split by a column, as its values say, and what to say of it."""
    gaps = f"; {n:,} rows have no value, and stop the stage" if (n := column.n_rows - column.n_filled) else ""
    if time := _time_params(column, time_format):
        shown = f"by time: train before {time['val_from']}, test from {time['test_from']} on"
        return time, f"'{column.name}' has dates, to split {shown}{gaps}"
    if time_format or column.is_date:
        _check_dates(column, time_format)
    if _says_split(column):
        return {"column": column.name}, f"'{column.name}' says which split a row is in{gaps}"
    n_groups = f"{len(column.values):,}{' or more' if column.has_many else ''}"
    return {"group_column": column.name}, f"'{column.name}' has {n_groups} groups, each of which is in one split{gaps}"


def _check_dates(column: Column, layout: str | None) -> None:
    """Raise InputError where a value is no date: without it a column would be split by groups, the future into train.

    Args:
        column: of which nearly all values are dates, or are said to be.
        layout: in which form; None for any that is known.
    """
    layouts = (layout,) if layout else TIME_FORMATS
    if unread := min(([value for value in column.dates if not is_time(value, one)] for one in layouts), key=len):
        what = f"by {layout!r}" if layout else "as others of its values are; or say --time-format"
        raise InputError(f"column '{column.name}': {unread[0]!r} is no date {what}")


def _split_notes(columns: list[Column]) -> list[str]:
    """Return that the reviews can be split by a column, where its values say so."""
    full = [column for column in columns if column.n_filled == column.n_rows]
    notes = []
    for column in full:
        try:
            time = _time_params(column, None)
        except UndecidedError as undecided:
            time = {"time_format": " or ".join(undecided.values)}
        if time:
            shown = ", ".join(f"split.{key} {value}" for key, value in time.items())
            notes.append(f"to split by time and not by text, --split-by '{column.name}': {shown}")
            break
    notes += [
        f"to split as '{column.name}' says and not by text, --split-by '{column.name}': split.column {column.name}"
        for column in full
        if _says_split(column)
    ][:1]
    return notes


def _says_split(column: Column) -> bool:
    """Return whether all values are names of splits, and each split has one."""
    if column.has_many:
        return False
    named = [SPLIT_NAMES.get(value.casefold()) for value in column.values]
    return None not in named and len(set(named)) == len(SPLITS)


def _time_params(column: Column, layout: str | None) -> dict[str, object]:
    """Return the params that split by the time in a column; none where not all of its values are dates.

    Raises:
        UndecidedError: its dates are other days in another format, and no format is given.
    """
    by_layout = _times(column, (layout,) if layout else TIME_FORMATS)
    if not by_layout:
        return {}
    (layout, times), *others = by_layout.items()
    if other := next((name for name, found in others if found != times), None):
        row = next(row for row, time in enumerate(times) if time != by_layout[other][row])
        shown = {str(name): f"{column.dates[row]} is {by_layout[name][row]:%d %B %Y}" for name in (layout, other)}
        raise UndecidedError(
            f"column '{column.name}' has dates such as '{column.dates[row]}': "
            f"is their --time-format {' or '.join(map(repr, shown))}?",
            "time_format",
            shown,
        )
    times = sorted(times)
    limits = [times[int(share * len(times))] for share in (VAL_FROM, TEST_FROM)]
    days = [limit.date().isoformat() for limit in limits]
    val_from, test_from = days if days[0] < days[1] else map(datetime.isoformat, limits)
    if limits[0] == limits[1] or times[0] >= limits[0]:
        return {}
    found: dict[str, object] = {"time_column": column.name, "val_from": val_from, "test_from": test_from}
    return {**found, "time_format": layout} if layout else found


def _times(column: Column, layouts: Sequence[str | None]) -> dict[str | None, list[datetime]]:
    """Return the instants of a column's dates by each format that fits all of them; by None alone where that does."""
    found: dict[str | None, list[datetime]] = {}
    for layout in layouts if column.dates else ():
        with suppress(ValueError, OverflowError):
            found[layout] = [read_time(value, layout).astimezone(UTC) for value in column.dates]
        if None in found:
            break
    return found


def _is_slice(column: Column) -> bool:
    if OTHER_NUMBER_NAME.search(column.name) and column.number_share > 0.5:
        return False
    few = not column.has_many and 2 <= len(column.values) <= MAX_SLICE_VALUES
    return few and column.distinct <= 0.1 and column.filled >= 0.5 and column.words < 4


def _text_columns(profile: Profile, label: str) -> list[str]:
    """Return the column of the text, after that of the title where there is one."""

    def score(column: Column) -> float:
        hint = 1.5 * bool(TEXT_NAME.search(column.name)) - 1.5 * bool(OTHER_TEXT_NAME.search(column.name))
        return math.log1p(column.words) * column.distinct * (0.5 + column.filled / 2) + hint

    columns = [
        column for column in profile.columns.values()
        if column.name != label and column.words >= MIN_WORDS and column.number_share < 0.5 and not column.is_date
        and not column.is_nested
    ]  # fmt: skip
    if not columns:
        advice = _nested_advice(profile) or "say it with --text COLUMN"
        raise InputError(f"no column of texts found among {_columns_of(profile)}; {advice}")
    body = max(columns, key=score)
    titles = [
        column for column in profile.columns.values()
        if column is not body and column.name != label and TITLE_NAME.search(column.name)
        and not OTHER_TEXT_NAME.search(column.name) and column.words < body.words and len(column.values) > 20
    ]  # fmt: skip
    tied = [column for column in columns if score(column) >= TIE * score(body) and column not in titles]
    if len(tied) > 1:
        message = f"columns {_names(tied)} are equally likely to be the text; say it with --text COLUMN"
        raise UndecidedError(message, "text", _examples(tied))
    return [*(column.name for column in titles[:1]), body.name]


def _labels(profile: Profile, choices: Choices) -> list[_Label]:
    """Return the columns that may be the label, the likeliest first."""
    found = [_as_label(column, choices) for column in profile.columns.values() if column.name not in choices.text]
    return sorted((label for label in found if label), key=lambda label: -label.score)


def _as_label(column: Column, choices: Choices) -> _Label | None:
    """Return a column as a label, None where it is none."""
    if not column.n_filled or column.is_date or not column.name:
        return None
    hint = 2.0 * bool(LABEL_NAME.search(column.name)) - 2.0 * bool(OTHER_NUMBER_NAME.search(column.name))
    hint -= 3.0 * (1 - column.filled)
    is_few = not column.has_many and 2 <= len({label_key(value) for value in column.values}) <= MAX_LABELS
    if is_few and choices.rating != column.name:
        sides = polarities(frozenset(column.values), column.name)
        if {"positive", "negative"} <= set(sides.values()) and None not in sides.values():
            is_number = column.number_share > 0.5
            is_sure = any(word in label_key(value) for value in column.values for word in ("posit", "negat"))
            return _Label(column, hint + (3.0 if is_sure else 1.0 if is_number else 1.5), sides=sides)
    if column.number_share >= 0.98 and (scale := _scale(column, bool(LABEL_NAME.search(column.name)), choices)):
        return _Label(column, hint + 2.0, scale=scale)
    if is_few and column.words < 4 and (hint > 0 or choices.label == column.name):
        return _Label(column, hint - 1.0, sides=polarities(frozenset(column.values), column.name))
    return None


def _scale(column: Column, is_named: bool, choices: Choices) -> tuple[float, float] | None:
    """Return the scale of the ratings in a column, without those to ignore."""
    numbers = set(column.numbers.values()) - set(map(read_rating, choices.ignore))
    return _scale_of(numbers, column.out_of, is_named)


def _scale_of(numbers: set[float], out_of: float | None, is_named: bool) -> tuple[float, float] | None:
    """Return the smallest usual scale that holds all numbers; one that ends at `out_of`, where ratings name it."""
    if len(numbers) < 2:
        return None
    lowest, highest = min(numbers), max(numbers)
    if out_of:
        return (1.0 if lowest >= 1 else 0.0, out_of) if highest <= out_of else None
    is_share = any(not number.is_integer() for number in numbers)
    for low, high in (*(SCALES_OF_SHARES if is_share else ()), *SCALES):
        is_small = high <= 10
        if low <= lowest and highest <= high and (is_named or (is_small and len(numbers) >= 3)):
            return float(low), float(high)
    return (lowest, highest) if is_named and len(numbers) <= MAX_LABELS else None


def _is_one_sided(label: _Label) -> bool:
    """Return whether all ratings are on one side of the middle of their scale."""
    assert label.scale
    above = {number > sum(label.scale) / 2 for number in label.column.numbers.values()}
    return len(above) == 1


def _choose_label(profile: Profile, choices: Choices) -> _Label:
    """Return the column that was chosen, or the likeliest."""
    if name := choices.label or choices.rating:
        column = profile.columns[name]
        if choices.rating:
            if not (scale := _scale(column, True, choices)):
                raise InputError(f"column '{name}' has no numbers to rate by; found {column.examples}")
            return _Label(column, 0.0, scale=scale)
        sides = polarities(frozenset(column.values), column.name)
        is_clear = {"positive", "negative"} == set(sides.values()) - {"neutral"}
        if not is_clear and column.number_share >= 0.98 and (scale := _scale(column, True, choices)):
            return _Label(column, 0.0, scale=scale)
        return _Label(column, 0.0, sides=sides)
    labels = _labels(profile, choices)
    tied = [label.column for label in labels if label.score == labels[0].score > 0]
    if len(tied) != 1:
        reason = (
            f"columns {_names(tied)} are equally likely to be the label"
            if tied else f"no column of labels or ratings found among {_columns_of(profile)}"
        )  # fmt: skip
        others = tied or [column for column in profile.columns.values() if column.name not in choices.text]
        advice = "say it with --label COLUMN or --rating COLUMN"
        if not tied and (nested := _nested_advice(profile)):
            advice = f"{nested}; or {advice}"
        raise UndecidedError(f"{reason}; {advice}", "label", _examples(others))
    return labels[0]


# what the stage reads of a label, where it does not read this key
UNUSED: dict[str, object] = {
    "rating_column": None, "rating_min": 1, "rating_max": 5, "positive_above": 3, "drop_ratings": [],
    "label_column": None, "positive": [], "negative": [], "ignore": [],
}  # fmt: skip


def _rating_params(label: _Label, choices: Choices) -> tuple[dict[str, object], list[str]]:
    """Return the params of a column of ratings, and what to say of it.

    Raises:
        InputError: what is to be ignored is no rating, a row has none, or the ratings are of several scales.
    """
    assert label.scale
    numbers, name = label.column.numbers, label.column.name
    low, high = label.scale
    middle = (low + high) / 2
    if len(ends := sorted(set(filter(None, map(scale_end, numbers))))) > 1:
        shown = " and ".join(f"of {format_rating(end)}" for end in ends)
        raise InputError(f"column '{name}' has ratings of several scales: {shown}; write them on one scale")
    if wrong := [value for value in label.column.values if value not in numbers and not is_no_rating(value)]:
        n_rows = sum(label.column.values[value] for value in wrong)
        raise InputError(f"column '{name}' has {wrong[0]!r} ({n_rows:,} rows such as this), expected a rating")
    ignored = [read_rating(value) for value in choices.ignore]
    if wrong := [value for value, number in zip(choices.ignore, ignored, strict=True) if math.isnan(number)]:
        raise InputError(f"--ignore {wrong[0]}: expected a rating of '{name}'")
    params: dict[str, object] = {
        **UNUSED, "rating_column": name, "rating_min": _as_written(low), "rating_max": _as_written(high),
        "positive_above": _as_written(middle), "drop_ratings": list(map(_as_written, ignored)),
    }  # fmt: skip
    scale = f"from {format_rating(low)} to {format_rating(high)}"
    notes = [f"'{name}' has ratings {scale}: above {format_rating(middle)} is positive"]
    between = ignored or [middle]
    if n_rows := sum(label.column.values[value] for value, number in numbers.items() if number in between):
        shown = ", ".join(map(format_rating, between))
        what = "left out" if ignored else "negative"
        advice = "" if ignored else f", --ignore {shown} leaves it out"
        notes.append(
            f"{len(set(numbers.values()))} ratings become two classes: {shown} is {what} ({n_rows:,} rows){advice}"
        )
    return params, [*notes, *_stretch_notes(label, {*ignored})]


def _stretch_notes(label: _Label, ignored: set[float]) -> list[str]:
    """Return that the scale rests on few rows, where the ratings of all others are on a smaller one."""
    counts: Counter[float] = Counter()
    for value, number in label.column.numbers.items():
        if number not in ignored:
            counts[number] += label.column.values[value]
    usual = {number for number, count in counts.items() if count >= FEW_RATINGS * counts.total()}
    scale = _scale_of(usual, label.column.out_of, is_named=True)
    if scale is None or scale == label.scale:
        return []
    outside = sorted(number for number in counts if not scale[0] <= number <= scale[1])
    n_rows = sum(counts[number] for number in outside)
    return [
        f"the scale rests on {n_rows:,} row{'s' * (n_rows > 1)}: {', '.join(map(format_rating, outside))}; without it, "
        f"from {format_rating(scale[0])} to {format_rating(scale[1])}: "
        f"{' '.join(f'--ignore {format_rating(number)}' for number in outside)} leaves it out"
    ]


def _as_written(number: float) -> int | float:
    """Return a number as params.yaml has it."""
    return int(number) if number.is_integer() else number


def _label_params(label: _Label, choices: Choices) -> tuple[dict[str, object], list[str]]:
    """Return the params of a column of labels, and what to say of it.

    Raises:
        InputError: the side of a label is not known.
    """
    column = label.column
    counts: Counter[str] = Counter()
    for value, count in column.values.items():
        counts[label_key(value)] += count
    sides = {label_key(value): side for value, side in label.sides.items()}
    if choices.positive and choices.negative:
        sides = dict.fromkeys(counts)
    elif choices.positive:
        sides = dict.fromkeys(counts, "negative")
    sides |= {label_key(value): "positive" for value in choices.positive}
    sides |= {label_key(value): "negative" for value in choices.negative}
    sides |= {label_key(value): "neutral" for value in choices.ignore}
    written = {label_key(value): value for value in reversed(column.values)}
    found = {
        side: [written[key] for key, _ in counts.most_common() if sides.get(key) == side]
        for side in ("positive", "negative", "neutral", None)
    }
    if found[None] or not (found["positive"] and found["negative"]):
        shown = ", ".join(f"{written[key]!r} ({count:,})" for key, count in counts.most_common(MAX_LABELS))
        message = (
            f"column '{column.name}' has {shown}: which is positive? say it with --positive VALUE --negative VALUE, "
            "and --ignore VALUE for what is neither"
        )
        if len(counts) > MAX_LABELS:
            raise InputError(message)
        raise UndecidedError(message, "positive", {written[key]: f"{n:,} rows" for key, n in counts.most_common()})
    params = {
        **UNUSED, "label_column": column.name,
        "positive": found["positive"], "negative": found["negative"], "ignore": found["neutral"],
    }  # fmt: skip
    shown = " and ".join(f"{', '.join(map(repr, found[side]))} {side}" for side in ("positive", "negative"))
    notes = [f"'{column.name}' has labels: {shown}"]
    if found["neutral"]:
        n_rows = sum(counts[label_key(value)] for value in found["neutral"])
        left_out = f"{', '.join(map(repr, found['neutral']))} ({n_rows:,} rows) is left out"
        notes.append(f"{len(counts)} classes become two: {left_out}")
    return params, notes


# as `label_key` gives them
POSITIVE = """
    positive pos p good great excellent best love loved like liked likes happy satisfied recommended recommend fresh up
    yes y true t 1 + +1 👍 👏 😀 😃 😄 😁 😊 🙂 😍 🥰 ❤ ❤️ ⭐ ✅ ✔ praise favorable favourable promoter
    positiv gut ja zufrieden positif bon oui positivo bueno bom buono si sí sim positief goed
    pozytywny pozytywna dobry tak pozitivní pozitiv dobre olumlu evet iyi
    положительный положительная позитивный хорошо да 正面 好 好评 积极 積極 ポジティブ 긍정 긍정적 إيجابي
"""
NEGATIVE = """
    negative neg n bad poor terrible awful worst hate hated dislike disliked unhappy unsatisfied dissatisfied rotten
    down no false f 0 - -1 👎 😞 😟 😠 😡 🙁 ☹ ☹️ 😢 😭 🤬 💔 ❌ ✘ complaint unfavorable unfavourable detractor
    negativ schlecht nein unzufrieden négatif negatif mauvais non negativo malo ruim mau cattivo não nao nee negatief
    slecht negatywny negatywna zły nie negativní zle olumsuz kötü
    отрицательный отрицательная негативный плохо нет 负面 差 差评 消极 消極 ネガティブ 부정 부정적 سلبي
"""
NEUTRAL = """
    neutral neu mixed none unknown ambivalent undecided irrelevant conflict average ok okay meh passive 😐 😶
    neutre neutro neutraal neutralny neutrální nötr нейтральный нейтральная 中性 中立 중립 محايد unsup n/a na ?
"""
WORDS_BY_SIDE: dict[Polarity, str] = {"positive": POSITIVE, "negative": NEGATIVE, "neutral": NEUTRAL}
SIDES: dict[str, Polarity] = {word: side for side, words in WORDS_BY_SIDE.items() for word in words.split()}
NEGATIONS = frozenset({"not", "no", "non", "nicht", "pas", "isn't", "don't", "doesn't", "never"})
# what the smallest sets of numbers mean, that are labels and no ratings
SETS_OF_NUMBERS: tuple[dict[str, Polarity], ...] = (
    {"0": "negative", "1": "positive"},
    {"-1": "negative", "1": "positive"},
    {"1": "negative", "2": "positive"},  # fastText's reviews of Amazon and Yelp
    {"0": "negative", "4": "positive"},  # Sentiment140
    {"0": "negative", "2": "positive"},
    {"-1": "negative", "0": "neutral", "1": "positive"},
    {"0": "negative", "2": "neutral", "4": "positive"},
    {"0": "negative", "1": "neutral", "2": "positive"},
    {"1": "negative", "2": "neutral", "3": "positive"},
)
# of a column of answers, such as is_negative: what says yes is negative
NEGATIVE_NAME = re.compile(
    r"^(?!.*posit).*(?:negat|dislik|complain|(?:un|dis)(?:happy|satisf)|detract|toxic|\bnot[_ ])", re.IGNORECASE
)
ANSWERS = ({"0", "1"}, {"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"})
OTHER_SIDE: dict[Polarity, Polarity] = {"positive": "negative", "negative": "positive"}
LABEL_PREFIX = re.compile(r"^(?:__label__|label[_ ]?|class[_ ]?)(?=.)")


def polarities(labels: frozenset[str], column: str = "") -> dict[str, Polarity | None]:
    """Return the side of each label of a column, None where it is not known.

    >>> polarities(frozenset({"yes", "no"}), "is_negative")
    {'no': 'positive', 'yes': 'negative'}
    >>> polarities(frozenset({"Positive", "somewhat negative", "brown"}))
    {'Positive': 'positive', 'brown': None, 'somewhat negative': 'negative'}
    >>> polarities(frozenset({"1", "2"}))
    {'1': 'negative', '2': 'positive'}
    """
    keys = {label: LABEL_PREFIX.sub("", label_key(label)) for label in sorted(labels)}
    known = next((sides for sides in SETS_OF_NUMBERS if set(sides) == set(keys.values())), {})
    if set(keys.values()) in ANSWERS and NEGATIVE_NAME.search(column):
        known = {key: OTHER_SIDE[SIDES[key]] for key in keys.values()}
    return {label: known.get(key) or word_polarity(key) for label, key in keys.items()}


def word_polarity(key: str) -> Polarity | None:
    """Return the side of one label, by itself or by the only side that its words are on; `not` turns it."""
    if key in SIDES:
        return SIDES[key]
    tokens = re.findall(r"[^\W_]+(?:'[^\W_]+)?", key)
    is_turned = bool(NEGATIONS.intersection(tokens))
    found = {SIDES[token] for token in tokens if len(token) > 1 and token in SIDES and token not in NEGATIONS}
    if len(found) != 1:
        return None
    [side] = found
    if not is_turned or side == "neutral":
        return side
    return "negative" if side == "positive" else None  # "not bad" may be either
