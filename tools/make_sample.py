"""Write data/raw/sample.csv from a seed: synthetic reviews of clothes in the columns of the real file.

    python tools/make_sample.py

It lets the pipeline run anywhere and is no benchmark: every sentence is built from the phrases below.
"""

import argparse
import csv
import random
from pathlib import Path

HEADER = ["", "Clothing ID", "Age", "Title", "Review Text", "Rating", "Recommended IND", "Positive Feedback Count"]
HEADER += ["Division Name", "Department Name", "Class Name"]
RATING_SHARES = {5: 0.56, 4: 0.21, 3: 0.12, 2: 0.07, 1: 0.04}  # about as in the real file
PRAISE_BY_RATING = {5: 0.90, 4: 0.75, 3: 0.48, 2: 0.27, 1: 0.12}  # how often an aspect is praised
ITEMS = {
    "dress": ("Dresses", "Dresses"),
    "blouse": ("Tops", "Blouses"),
    "sweater": ("Tops", "Sweaters"),
    "tee": ("Tops", "Knits"),
    "skirt": ("Bottoms", "Skirts"),
    "pair of jeans": ("Bottoms", "Jeans"),
    "jacket": ("Jackets", "Jackets"),
    "robe": ("Intimate", "Lounge"),
}
# aspect: phrases of praise, phrases of complaint; both have negations
ASPECTS = {
    "fit": (
        ["it fits like it was cut for me", "not tight anywhere", "the shape is flattering", "true to size"],
        ["it runs huge", "the fit is not what i hoped for", "tight across the shoulders", "boxy on me"],
    ),
    "fabric": (
        ["the fabric is soft", "not itchy at all", "the material has a nice weight", "feels like it will last"],
        ["the fabric is scratchy", "so thin you see through it", "not soft", "it pilled after one wash"],
    ),
    "color": (
        ["the color is richer in person", "the pattern is gorgeous", "no fading so far"],
        ["the color looks nothing like the photo", "the pattern is dull", "it faded in the wash"],
    ),
    "length": (
        ["the length is just right", "not too short, which is rare", "hits at a good spot on the leg"],
        ["way too long on me", "shorter than pictured", "the length is awkward"],
    ),
    "make": (
        ["the seams are neat", "well made", "the zipper doesn't stick", "nice details at the collar"],
        ["a seam came apart", "poorly made", "the zipper broke", "a button was missing"],
    ),
    "price": (
        ["worth every penny", "a good buy on sale", "i don't regret the price"],
        ["not worth the price", "overpriced for what it is", "i expected more for the money"],
    ),
}
OPENINGS = [
    "I bought this {item} for {when}.",
    "Ordered the {item} online.",
    "Saw this {item} in the store.",
    "Ok, so,",
]
OCCASIONS = ["work", "a wedding", "a trip", "the holidays", "my sister", "weekends"]
ASIDES = ["i'm 5'{inches}\" and usually wear a {size}", 'the tag says "{size}"', "my friend has the same {item}"]
ASIDES += ["i tried two sizes", "shipping took a week"]
JOINTS = [". ", ", and ", "; ", ". also, ", "!  "]
TURNS = [", but ", ". but ", ". on the other hand, ", ", though "]
GOOD_ENDS = ["keeping it!", "would buy again.", "so happy with it.", "love it", ""]
BAD_ENDS = ["it's going back.", "returned it.", "what a letdown.", "would not buy again.", ""]
GOOD_TITLES = ["Love this {item}", "So pretty", "Great find", "My new favorite", "Not disappointed"]
BAD_TITLES = ["Disappointed", "Not for me", "Returned this {item}", "Wanted to love it", "Poor quality"]
MIXED_TITLES = ["Nice, but...", "Cute {item}, odd fit", "On the fence", "Just ok"]


def typo(text: str, rng: random.Random) -> str:
    """Swap two neighboring letters, or drop one, at a random index."""
    index = rng.randrange(1, max(2, len(text) - 2))
    first, second = text[index : index + 1], text[index + 1 : index + 2]
    return text[:index] + (second + first if rng.random() < 0.6 else first) + text[index + 2 :]


def body(rating: int, item: str, rng: random.Random) -> str:
    """Return several aspects, praised or criticized as often as the rating suggests, with asides between them."""
    praised = [rng.random() < PRAISE_BY_RATING[rating] for _ in range(rng.randint(2, 5))]
    aspects = rng.sample(sorted(ASPECTS), len(praised))
    phrases = [rng.choice(ASPECTS[aspect][0 if good else 1]) for aspect, good in zip(aspects, praised, strict=True)]
    text = rng.choice(OPENINGS) + " " + phrases[0]
    for index, phrase in enumerate(phrases[1:], start=1):
        if rng.random() < 0.25:
            text += rng.choice(JOINTS) + rng.choice(ASIDES)
        text += rng.choice(JOINTS if praised[index] == praised[index - 1] else TURNS) + phrase
    if rng.random() < 0.6:
        text += ". " + rng.choice(GOOD_ENDS if rng.random() < PRAISE_BY_RATING[rating] else BAD_ENDS)
    if rng.random() < 0.1:
        text = text.replace(". ", ".\r\n\r\n", 1)
    text = text.format(
        item=item, when=rng.choice(OCCASIONS), inches=rng.randint(0, 11), size=rng.choice(["small", "6", "petite"])
    )
    return typo(text, rng) if rng.random() < 0.25 else text


def title(rating: int, item: str, rng: random.Random) -> str:
    """Return a title: empty for one review in six, often a mixed one for a rating of 3."""
    if rng.random() < 0.16:
        return ""
    if rng.random() < (0.6 if rating == 3 else 0.2):
        return rng.choice(MIXED_TITLES).format(item=item)
    return rng.choice(GOOD_TITLES if rng.random() < PRAISE_BY_RATING[rating] else BAD_TITLES).format(item=item)


def make_rows(count: int, rng: random.Random) -> list[list[object]]:
    """Return reviews in the columns of `HEADER`; some without text, a few duplicates, some with an unrelated rating."""
    rows: list[list[object]] = []
    for number in range(count):
        item = rng.choice(sorted(ITEMS))
        text_rating, *_ = rng.choices(list(RATING_SHARES), list(RATING_SHARES.values()))
        text = "" if rng.random() < 0.035 else body(text_rating, item, rng)
        rating = rng.randint(1, 5) if rng.random() < 0.03 else text_rating
        division = rng.choices(["General", "General Petite", ""], [0.64, 0.35, 0.01])[0]
        age = min(95, max(18, round(rng.gauss(43, 12))))
        recommended = int(rng.random() < (0.97 if rating > 3 else 0.2))
        clothing = 100 + sorted(ITEMS).index(item) * 50 + rng.randrange(50)
        rows.append(
            [number, clothing, age, title(text_rating, item, rng), text, rating, recommended, int(rng.expovariate(0.4))]
        )
        rows[-1] += [division, *ITEMS[item]]
        if rng.random() < 0.002:
            rows.append([*rows[-1]])
    return rows


def main() -> None:
    """Write the reviews as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000, help="reviews to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other reviews (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("data/raw/sample.csv"), help="(default: %(default)s)")
    args = parser.parse_args()
    with args.output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(make_rows(args.rows, random.Random(args.seed)))


if __name__ == "__main__":
    main()
