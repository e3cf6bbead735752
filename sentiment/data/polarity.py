"""Tell which side a label is on by its words: positive, negative or neither, in several languages."""

import re
from typing import Literal

from sentiment.data.ratings import label_key

Polarity = Literal["positive", "negative", "neutral"]

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
WORDS: dict[Polarity, str] = {"positive": POSITIVE, "negative": NEGATIVE, "neutral": NEUTRAL}
SIDES: dict[str, Polarity] = {word: side for side, words in WORDS.items() for word in words.split()}
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
PREFIX = re.compile(r"^(?:__label__|label[_ ]?|class[_ ]?)(?=.)")


def polarities(labels: frozenset[str]) -> dict[str, Polarity | None]:
    """Return the side of each label of a column, None where it is not known.

    >>> polarities(frozenset({"Positive", "somewhat negative", "brown"}))
    {'Positive': 'positive', 'brown': None, 'somewhat negative': 'negative'}
    >>> polarities(frozenset({"1", "2"}))
    {'1': 'negative', '2': 'positive'}
    """
    keys = {label: PREFIX.sub("", label_key(label)) for label in sorted(labels)}
    numbers = next((sides for sides in SETS_OF_NUMBERS if set(sides) == set(keys.values())), {})
    return {label: numbers.get(key) or word_polarity(key) for label, key in keys.items()}


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
    return "negative" if is_turned and side == "positive" else side
