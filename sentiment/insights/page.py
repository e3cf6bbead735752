"""Show insights: as a table on a terminal, and as one self-contained HTML page in the look of the report."""

import re
from collections.abc import Iterator

from sentiment.common.command import printable
from sentiment.evaluation.significance import format_p
from sentiment.insights.analysis import Contrast, Direction, Insights
from sentiment.insights.ranking import Finding

MAX_VERDICTS = 8  # named in one line
PHRASE_WIDTH = 20


def render(insights: Insights) -> str:
    """Return the page; it contains sentences of the reviews, escaped, and no script."""
    from sentiment.report.page import document  # jinja2, which the table does not need

    return document(
        "insights.html.j2",
        {"points": points, "format_p": format_p, "pieces": pieces, "place": place, "others": others},
        insights=insights,
        overview=overview(insights),
    )


def lines(insights: Insights, width: int) -> Iterator[str]:
    """Yield what is shown on a terminal of this width."""
    yield from map(printable, overview(insights))
    for direction in insights.directions:
        yield ""
        yield from map(printable, _direction(direction, width))


def overview(insights: Insights) -> list[str]:
    """Return what the reviews are, in words."""
    labeled = insights.labeled
    share = labeled["negative"] / insights.reviews
    source = f"by column {insights.label_source}" if insights.label_source else "as the classifier predicts"
    counts = [f"{insights.reviews:,} reviews, {labeled['negative']:,} of them ({share:.1%}) negative {source}"]
    if insights.skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in insights.skipped.items())
        counts.append(f"Left out: {reasons}")
    return counts


def _direction(direction: Direction, width: int) -> Iterator[str]:
    label = direction.ranking.label
    title = f"What makes reviews {label}"
    yield f"{title:<{PHRASE_WIDTH + 8}}  reviews  {label:>8}  others     effect (95%)   extra        p"
    rows = zip(direction.ranking.findings, direction.where, direction.since, strict=True)
    for finding, where, since in rows:
        yield _row(finding)
        details = [", ".join(f"{phrase} ({count:,})" for phrase, count in finding.variants)]
        details += [contrast_in_words(one) for one in (where, since)]
        if shown := "; ".join(filter(None, details)):
            yield _cut(f"    {shown}", width)
        if finding.examples:
            yield _cut(f'    "{finding.examples[0]}"', width)
    if not direction.ranking.findings:
        yield f"  nothing that is more than chance, among {direction.ranking.n_tested:,} phrases"
    if direction.ranking.verdicts:
        verdicts = direction.ranking.verdicts[:MAX_VERDICTS]
        named = ", ".join(f"{one.phrase.text} ({one.effect.reviews:,})" for one in verdicts)
        yield _cut(f"Said without a cause: {named}", width)
    for column, groups in direction.slices.items():
        yield ""
        yield f"{_cut(column, PHRASE_WIDTH + 8):<{PHRASE_WIDTH + 8}}  reviews  {label:>8}  most of all"
        for group in groups:
            start = f"{_cut(group.value, PHRASE_WIDTH + 8):<{PHRASE_WIDTH + 8}}  {group.reviews:>7,}"
            yield _cut(f"{start}  {group.labeled / group.reviews:>8.0%}  {', '.join(group.phrases) or '-'}", width)
    if direction.months:
        yield ""
        names = [finding.phrase.text for finding in direction.ranking.findings][:5]
        yield f"{'month':<9}  reviews  {label:>8}  " + "  ".join(f"{_cut(name, 12):>12}" for name in names)
        for month in direction.months:
            shares = "  ".join(f"{share:>12.1%}" for share in month.shares[:5])
            yield f"{month.value:<9}  {month.reviews:>7,}  {month.labeled / month.reviews:>8.0%}  {shares}"


def _row(finding: Finding) -> str:
    effect = finding.effect
    numbers = f"{effect.reviews:>7,}  {effect.share:>8.0%}  {effect.other_share:>6.0%}"
    interval = f"{points(effect.difference)} ({points(effect.low)} to {points(effect.high)})"
    phrase = f"{_cut(finding.phrase.text, PHRASE_WIDTH + 8):<{PHRASE_WIDTH + 8}}"
    return f"{phrase}  {numbers}  {interval:>15}  {effect.excess:>6,.0f}  {format_p(effect.p_value):>7}"


def contrast_in_words(contrast: Contrast | None) -> str:
    """Return where or since when a phrase is more frequent; nothing for None."""
    if contrast is None:
        return ""
    return f"{place(contrast)}: {contrast.share:.1%} of reviews, {others(contrast)} {contrast.other_share:.1%}"


def place(contrast: Contrast) -> str:
    """Return where, or since when."""
    return f"since {contrast.value}" if contrast.is_time else f"most in {contrast.value}"


def others(contrast: Contrast) -> str:
    """Return what `place` is compared with."""
    return "before" if contrast.is_time else "elsewhere"


def points(share: float) -> str:
    """Return a difference of shares in percentage points.

    >>> points(0.0912)
    '+9'
    """
    return f"{share * 100:+.0f}"


def pieces(example: str, phrase: str) -> list[tuple[str, bool]]:
    """Return an example in pieces, each with whether it is the phrase.

    >>> pieces("The fabric, sadly, is thin", "fabric")
    [('The ', False), ('fabric', True), (', sadly, is thin', False)]
    """
    pattern = r"[^\w]+".join(re.escape(word).replace("'", "['\u2019]") for word in phrase.split())
    match = re.search(rf"\b{pattern}\b", example, re.IGNORECASE)
    if match is None:
        return [(example, False)]
    start, end = match.span()
    cut = [(example[:start], False), (example[start:end], True), (example[end:], False)]
    return [piece for piece in cut if piece[0]]


def _cut(text: str, width: int) -> str:
    """Return a text that fits into a number of columns."""
    return text if len(text) <= width else f"{text[: width - 1]}…"
