"""Write data/raw/sample.csv from a seed: synthetic reviews of clothes in the columns of the real file.

    python tools/make_sample.py

It lets the pipeline run anywhere and is no benchmark: every sentence is built from the phrases of sample_phrases.yaml.
"""

import csv
import random
from functools import cache
from pathlib import Path
from typing import Any

import yaml

OUTPUT, N_ROWS, SEED = Path("data/raw/sample.csv"), 2_000, 0
HEADER = ["", "Clothing ID", "Age", "Title", "Review Text", "Rating", "Recommended IND", "Positive Feedback Count"]
HEADER += ["Division Name", "Department Name", "Class Name"]
RATING_SHARES = {5: 0.56, 4: 0.21, 3: 0.12, 2: 0.07, 1: 0.04}  # about as in the real file
PRAISE_BY_RATING = {5: 0.90, 4: 0.75, 3: 0.48, 2: 0.27, 1: 0.12}  # how often an aspect is praised


@cache
def load_phrases() -> Any:
    """Return the phrases by kind."""
    return yaml.safe_load(Path(__file__).with_name("sample_phrases.yaml").read_text(encoding="utf-8"))


def choose(kind: str, rng: random.Random) -> str:
    """Return a random phrase of a kind."""
    return str(rng.choice(load_phrases()[kind]))


def typo(text: str, rng: random.Random) -> str:
    """Swap two neighboring letters, or drop one, at a random index."""
    index = rng.randrange(1, max(2, len(text) - 2))
    first, second = text[index : index + 1], text[index + 1 : index + 2]
    return text[:index] + (second + first if rng.random() < 0.6 else first) + text[index + 2 :]


def body(rating: int, item: str, rng: random.Random) -> str:
    """Return several aspects, praised or criticized as often as the rating suggests, with asides between them."""
    praised = [rng.random() < PRAISE_BY_RATING[rating] for _ in range(rng.randint(2, 5))]
    aspects = rng.sample(sorted(load_phrases()["aspects"]), len(praised))
    phrases = [
        rng.choice(load_phrases()["aspects"][aspect]["praise" if good else "complaint"])
        for aspect, good in zip(aspects, praised, strict=True)
    ]
    text = choose("openings", rng) + " " + phrases[0]
    for index, phrase in enumerate(phrases[1:], start=1):
        if rng.random() < 0.25:
            text += choose("joints", rng) + choose("asides", rng)
        text += choose("joints" if praised[index] == praised[index - 1] else "turns", rng) + phrase
    if rng.random() < 0.6:
        text += ". " + choose("good_ends" if rng.random() < PRAISE_BY_RATING[rating] else "bad_ends", rng)
    if rng.random() < 0.1:
        text = text.replace(". ", ".\r\n\r\n", 1)
    text = text.format(
        item=item,
        when=choose("occasions", rng),
        inches=rng.randint(0, 11),
        size=rng.choice(["small", "6", "petite"]),
    )
    return typo(text, rng) if rng.random() < 0.25 else text


def title(rating: int, item: str, rng: random.Random) -> str:
    """Return a title: empty for one review in six, often a mixed one for a rating of 3."""
    if rng.random() < 0.16:
        return ""
    if rng.random() < (0.6 if rating == 3 else 0.2):
        return choose("mixed_titles", rng).format(item=item)
    return choose("good_titles" if rng.random() < PRAISE_BY_RATING[rating] else "bad_titles", rng).format(item=item)


def make_rows(count: int, rng: random.Random) -> list[list[object]]:
    """Return reviews in the columns of `HEADER`; some without text, a few duplicates, some with an unrelated rating."""
    rows: list[list[object]] = []
    for number in range(count):
        item = rng.choice(sorted(load_phrases()["items"]))
        text_rating, *_ = rng.choices(list(RATING_SHARES), list(RATING_SHARES.values()))
        text = "" if rng.random() < 0.035 else body(text_rating, item, rng)
        rating = rng.randint(1, 5) if rng.random() < 0.03 else text_rating
        division = rng.choices(["General", "General Petite", ""], [0.64, 0.35, 0.01])[0]
        age = min(95, max(18, round(rng.gauss(43, 12))))
        recommended = int(rng.random() < (0.97 if rating > 3 else 0.2))
        clothing = 100 + sorted(load_phrases()["items"]).index(item) * 50 + rng.randrange(50)
        rows.append(
            [number, clothing, age, title(text_rating, item, rng), text, rating, recommended, int(rng.expovariate(0.4))]
        )
        rows[-1] += [division, *load_phrases()["items"][item]]
        if rng.random() < 0.002:
            rows.append([*rows[-1]])
    return rows


def main() -> None:
    """Write the reviews as CSV."""
    with OUTPUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(make_rows(N_ROWS, random.Random(SEED)))


if __name__ == "__main__":
    main()
