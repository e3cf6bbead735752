"""The templates and word lists of the behavioral tests, written for this project.

A template is filled with every combination of the words that its slots name: `{product}` is a product, `{good}` one of
the adjectives that fit it. No text is a real review.

Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL 2020, arXiv 2005.04118.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from sentiment.common.tables import LABELS

Label = Literal["negative", "positive"]
TestType = Literal["minimum functionality", "invariance", "direction"]
NEGATIVE, POSITIVE = LABELS


class Product(NamedTuple):
    """Words that fit a product, so that every text is natural.

    Attributes:
        use: what its owner does with it.
        good, bad: adjectives of which more is better, or worse.
        praises, defects: clauses that leave no doubt.
    """

    name: str
    use: str
    good: tuple[str, str, str]
    bad: tuple[str, str, str]
    praises: tuple[str, str]
    defects: tuple[str, str]


PRODUCTS = (
    Product(
        "kettle",
        "use",
        ("sturdy", "reliable", "easy to clean"),
        ("noisy", "flimsy", "hard to clean"),
        ("it boils water quickly and pours well", "the handle always stays cool"),
        ("it started to leak after a week", "the lid broke off in the first month"),
    ),
    Product(
        "jacket",
        "wear",
        ("comfortable", "stylish", "well made"),
        ("scratchy", "uncomfortable", "badly made"),
        ("it fits perfectly", "it keeps me warm on the coldest days"),
        ("the zipper broke on the second day", "the seams came apart in the first wash"),
    ),
    Product(
        "dress",
        "wear",
        ("comfortable", "flattering", "well made"),
        ("itchy", "unflattering", "badly made"),
        ("it fits perfectly", "I get compliments every time I wear it"),
        ("it shrank in the first wash", "the seams came apart after one evening"),
    ),
    Product(
        "backpack",
        "use",
        ("comfortable", "roomy", "sturdy"),
        ("uncomfortable", "flimsy", "badly made"),
        ("it holds everything I need", "it still looks new after a year of travel"),
        ("a strap tore off on the first trip", "the zipper broke within days"),
    ),
    Product(
        "blender",
        "use",
        ("powerful", "sturdy", "easy to clean"),
        ("noisy", "unreliable", "hard to clean"),
        ("it crushes ice in seconds", "it makes perfectly smooth soups"),
        ("the motor burned out within a month", "it leaks from the bottom"),
    ),
    Product(
        "speaker",
        "use",
        ("reliable", "easy to use", "well made"),
        ("unreliable", "hard to use", "badly made"),
        ("the sound is rich and clear", "the battery lasts all day"),
        ("it stopped charging after two weeks", "it loses the connection every few minutes"),
    ),
    Product(
        "keyboard",
        "use",
        ("comfortable", "responsive", "well made"),
        ("uncomfortable", "unresponsive", "flimsy"),
        ("typing on it is a pleasure", "every key feels solid"),
        ("half of the keys stopped working", "it loses the connection all the time"),
    ),
    Product(
        "tent",
        "use",
        ("roomy", "sturdy", "easy to pitch"),
        ("cramped", "flimsy", "hard to pitch"),
        ("it kept us dry in a storm", "all four of us sleep well in it"),
        ("it leaked in the first rain", "a pole snapped on the first night"),
    ),
    Product(
        "vacuum cleaner",
        "use",
        ("powerful", "reliable", "easy to use"),
        ("noisy", "unreliable", "hard to use"),
        ("it picks up every hair of our dog", "it cleans the whole house on one charge"),
        ("it lost all suction within a month", "the battery died after three uses"),
    ),
    Product(
        "mattress",
        "use",
        ("comfortable", "supportive", "well made"),
        ("uncomfortable", "lumpy", "badly made"),
        ("I sleep better than I have in years", "I wake up rested every morning"),
        ("it sagged within a month", "my back hurts every morning"),
    ),
    Product(
        "watch",
        "wear",
        ("accurate", "comfortable", "easy to read"),
        ("inaccurate", "uncomfortable", "hard to read"),
        ("it keeps perfect time", "I get compliments on it all the time"),
        ("it stopped after a week", "the strap broke on the second day"),
    ),
    Product(
        "desk lamp",
        "use",
        ("sturdy", "stylish", "easy to adjust"),
        ("wobbly", "flimsy", "hard to adjust"),
        ("the light is perfect for reading", "it gives a warm and even light"),
        ("it started to flicker after two days", "the switch broke within a week"),
    ),
    Product(
        "frying pan",
        "use",
        ("sturdy", "easy to clean", "well made"),
        ("flimsy", "hard to clean", "badly made"),
        ("it heats up fast and evenly", "eggs slide right off it"),
        ("the coating peeled off within a month", "everything sticks to it"),
    ),
    Product(
        "suitcase",
        "use",
        ("sturdy", "roomy", "well made"),
        ("flimsy", "unreliable", "badly made"),
        ("it rolls smoothly on any ground", "it has survived ten flights without a scratch"),
        ("a wheel fell off on the first trip", "the handle snapped within a week"),
    ),
    Product(
        "coffee maker",
        "use",
        ("reliable", "easy to use", "easy to clean"),
        ("noisy", "unreliable", "hard to use"),
        ("the coffee tastes wonderful", "it makes a great cup every morning"),
        ("it leaks all over the counter", "it broke down after ten days"),
    ),
    Product(
        "stroller",
        "use",
        ("sturdy", "comfortable", "easy to fold"),
        ("wobbly", "flimsy", "hard to fold"),
        ("it rolls smoothly on any ground", "our baby falls asleep in it at once"),
        ("a wheel came off in the first week", "the brake failed on the second day"),
    ),
    Product(
        "moisturizer",
        "use",
        ("gentle", "soothing", "pleasant to use"),
        ("greasy", "sticky", "unpleasant to use"),
        ("my skin has never felt so soft", "a small amount lasts all day"),
        ("it gave me a painful rash", "it burns my skin"),
    ),
    Product(
        "desk chair",
        "use",
        ("comfortable", "sturdy", "easy to adjust"),
        ("uncomfortable", "wobbly", "badly made"),
        ("I can sit in it all day without pain", "the back support is excellent"),
        ("an armrest broke off within a month", "it gives me back pain every day"),
    ),
    Product(
        "printer",
        "use",
        ("reliable", "fast", "easy to use"),
        ("unreliable", "slow", "noisy"),
        ("the prints are sharp and bright", "it was ready to print in minutes"),
        ("it jams on every second page", "it stopped printing after a month"),
    ),
    Product(
        "raincoat",
        "wear",
        ("comfortable", "stylish", "well made"),
        ("stiff", "uncomfortable", "badly made"),
        ("it kept me dry in heavy rain", "it fits perfectly"),
        ("it let the rain through on the first day", "the buttons fell off within a week"),
    ),
)

WORDS: Mapping[str, tuple[str, ...]] = {
    "intensifier": ("very", "really", "extremely", "incredibly"),
    "day": ("Monday", "Tuesday", "Thursday"),
    "month": ("March", "June", "October"),
    "name": ("Anna", "John", "Emily", "Michael"),
    "other_name": ("Fatima", "Mohammed", "Li Wei", "Priya", "Juan", "Olga", "Kwame", "Aisha", "Hiroshi", "Mariana"),
    "relative": ("neighbor", "friend", "colleague", "cousin"),
    "weeks": ("two", "three", "six"),
    "start": ("At first", "In the first week", "In the beginning"),
    "joy": ("😍", "👍", "😀", "🥰", "🤩"),
    "anger": ("😡", "👎", "😠", "🤬", "🤮"),
}


class Template(NamedTuple):
    """A text with slots.

    Attributes:
        expected: the label of the text; in a test of direction, the label whose probability may not fall; None in a
            test of invariance.
        original: the text with which it is compared.
    """

    text: str
    expected: Label | None = None
    original: str | None = None


class Kind(NamedTuple):
    """A kind of behavior.

    Attributes:
        title: as a person reads it.
        what: a sentence that says what is tested.
        perturb: names of the functions of `cases.PERTURBATIONS` that make the text from the original; empty where the
            templates have both.
    """

    title: str
    test: TestType
    what: str
    templates: tuple[Template, ...]
    perturb: tuple[str, ...] = ()


def _labeled(positive: tuple[str, ...], negative: tuple[str, ...]) -> tuple[Template, ...]:
    """Return templates of texts whose label is known."""
    return tuple(
        Template(text, label) for label, texts in ((POSITIVE, positive), (NEGATIVE, negative)) for text in texts
    )


def _changed(*pairs: tuple[str, str]) -> tuple[Template, ...]:
    """Return templates of pairs (original, text) whose label is the same."""
    return tuple(Template(text, original=original) for original, text in pairs)


OPINIONS = (
    "I love this {product}. {Praise}.",
    "I am very happy with this {product}. {Praise}.",
    "This {product} is wonderful: {praise}.",
    "What a great {product}! {Praise}.",
    "I am disappointed with this {product}. {Defect}.",
    "I regret buying this {product}. {Defect}.",
    "This {product} is terrible: {defect}.",
    "Do not buy this {product}! {Defect}.",
)
FACTS = (
    "It arrived on {day}.",
    "I ordered it in {month}.",
    "I bought it online and paid by card.",
    "It came in a brown cardboard box.",
    "The label is printed in English and in French.",
    "It was shipped from Chicago.",
)

KINDS: Mapping[str, Kind] = {
    "negation": Kind(
        "negation",
        "minimum functionality",
        "A negation turns the meaning around.",
        _labeled(
            (
                "I have no complaints about this {product}.",
                "This {product} has never let me down.",
                "I do not regret buying this {product}.",
                "I could not be happier with this {product}.",
                "You cannot go wrong with this {product}.",
                "This {product} never disappoints me.",
                "I have not had a single problem with this {product}.",
                "No other {product} that I have owned comes close to this one.",
            ),
            (
                "I would not buy this {product} again.",
                "I do not like this {product}.",
                "I don't recommend this {product} to anyone.",
                "I am not happy with this {product}.",
                "This {product} is not worth the money.",
                "This is not a good {product}.",
                "This {product} is not {good} at all.",
                "Nobody in our house likes this {product}.",
            ),
        ),
    ),
    "double_negation": Kind(
        "double negation",
        "minimum functionality",
        "Two negations cancel each other.",
        _labeled(
            (
                "There is nothing I don't like about this {product}.",
                "I have no reason not to recommend this {product}.",
                "I see no reason not to buy this {product} again.",
                "I can't find anything not to like about this {product}.",
                "There was never a moment when I was not happy with this {product}.",
                "There is no one to whom I would not recommend this {product}.",
                "It would not be true to say that I don't love this {product}.",
                "I don't know anyone who would not like this {product}.",
            ),
            (
                "There isn't one thing about this {product} that didn't disappoint me.",
                "There was never a week without a problem with this {product}.",
                "I never {use} this {product} without regretting that I bought it.",
                "There is no one in our house who has not complained about this {product}.",
                "I don't know anyone who hasn't had trouble with this {product}.",
                "I can't think of one thing that did not go wrong with this {product}.",
                "Not once did this {product} fail to annoy me.",
                "There is no reason not to send this {product} back.",
            ),
        ),
    ),
    "intensifiers": Kind(
        "intensifiers",
        "direction",
        "A stronger word does not move the probability the other way.",
        tuple(
            Template(text.format(word=f"{{intensifier}} {{{slot}}}"), label, text.format(word=f"{{{slot}}}"))
            for slot, label in (("good", POSITIVE), ("bad", NEGATIVE))
            for text in (
                "This {{product}} is {word}.",
                "I find this {{product}} {word}.",
                "The {{product}} turned out to be {word}.",
            )
        ),
    ),
    "but_clauses": Kind(
        "but clauses",
        "minimum functionality",
        'What follows "but" decides.',
        _labeled(
            (
                "Delivery took three weeks, but this {product} is excellent: {praise}.",
                "I had doubts about this {product}, but {praise} and I would buy it again.",
                "I did not expect much from this {product}, but {praise} and I love it.",
                "The box was dented, but the {product} is perfect: {praise}.",
                "This {product} was not cheap, but {praise} and it is worth every cent.",
            ),
            (
                "This {product} looks nice, but {defect}.",
                "The {product} came quickly and was well packed, but {defect} and I sent it back.",
                "I really wanted to love this {product}, but {defect}.",
                "I liked this {product} when I unpacked it, but {defect} and I want my money back.",
                "The price of this {product} is good, but {defect}.",
            ),
        ),
    ),
    "neutral_facts": Kind(
        "neutral facts",
        "invariance",
        "A fact without sentiment, before or after, does not change the label.",
        _changed(
            *(pair for one in OPINIONS for fact in FACTS for pair in ((one, f"{one} {fact}"), (one, f"{fact} {one}")))
        ),
    ),
    "typos": Kind(
        "typos",
        "invariance",
        "Two swapped letters, or a letter too few, do not change the label.",
        _changed(*((one, one) for one in OPINIONS)),
        ("swap_letters", "drop_letter"),
    ),
    "names_and_products": Kind(
        "names and products",
        "invariance",
        "Another name of a person, or another product, does not change the label.",
        _changed(
            *(
                (text, text.replace("{name}", "{other_name}"))
                for text in (
                    "{name} and I both love this {product}. {Praise}.",
                    "I bought this {product} for {name}, and we both love it.",
                    "I bought this {product} for {name}, and it was a big disappointment.",
                    "My {relative} {name} sent this {product} back because {defect}.",
                )
            ),
            *(
                (text, text.replace("{product}", "{other_product}"))
                for text in (
                    "I love this {product}. It is worth every cent.",
                    "I am very happy with this {product} and would buy it again.",
                    "This {product} was a waste of money. I sent it back.",
                    "This is the worst {product} I have ever owned.",
                )
            ),
        ),
    ),
    "word_order": Kind(
        "word order",
        "invariance",
        "Clauses that change places without changing the meaning do not change the label.",
        _changed(
            ("I love this {product}. {Praise}.", "{Praise}. I love this {product}."),
            ("I regret buying this {product}. {Defect}.", "{Defect}. I regret buying this {product}."),
            ("This {product} is {good} and {also_good}.", "This {product} is {also_good} and {good}."),
            ("This {product} is {bad} and {also_bad}.", "This {product} is {also_bad} and {bad}."),
            ("Because {defect}, I returned this {product}.", "I returned this {product} because {defect}."),
            ("After a year, I still love this {product}.", "I still love this {product} after a year."),
            (
                "In {month} I bought this {product}, and I love it.",
                "I bought this {product} in {month}, and I love it.",
            ),
            (
                "In {month} I bought this {product}, and I regret it.",
                "I bought this {product} in {month}, and I regret it.",
            ),
            ("For the price, this {product} is excellent.", "This {product} is excellent for the price."),
            ("Even for that price, this {product} is terrible.", "This {product} is terrible, even for that price."),
        ),
    ),
    "emoji": Kind(
        "emoji",
        "minimum functionality",
        "An emoji after a text without sentiment decides.",
        _labeled(
            (
                "My opinion of this {product}: {joy}",
                "How I feel about this {product}: {joy}",
                "This {product}, after {weeks} weeks: {joy}",
                "I have had this {product} since {month} {joy}{joy}",
            ),
            (
                "My opinion of this {product}: {anger}",
                "How I feel about this {product}: {anger}",
                "This {product}, after {weeks} weeks: {anger}",
                "I have had this {product} since {month} {anger}{anger}",
            ),
        ),
    ),
    "capitals": Kind(
        "capitals",
        "invariance",
        "A text in capitals, or without any, keeps its label.",
        _changed(*((one, one) for one in OPINIONS)),
        ("upper", "lower"),
    ),
    "comparisons": Kind(
        "comparisons",
        "minimum functionality",
        "The label depends on which of two products is the better one.",
        _labeled(
            (
                "This {product} is much better than the one I had before.",
                "My old {product} was far worse than this one.",
                "My old {product} was not nearly as {good} as this one.",
                "I like this {product} more than any other I have owned.",
                "This {product} beats every other {product} that I have tried.",
                "My old {product} cannot compete with this one.",
                "I threw my old {product} away because this one is so much better.",
            ),
            (
                "The {product} I had before was much better than this one.",
                "This {product} is far worse than my old one.",
                "This {product} is not nearly as {good} as my old one.",
                "I liked every other {product} I have owned more than this one.",
                "Every other {product} that I have tried beats this one.",
                "This {product} cannot compete with my old one.",
                "I sent this {product} back because my old one is so much better.",
            ),
        ),
    ),
    "change_of_mind": Kind(
        "change of mind",
        "minimum functionality",
        "The opinion of now counts, not an earlier one.",
        _labeled(
            (
                "I used to hate this {product}, but now I love it.",
                "{start} I was disappointed with this {product}. Now I am very happy with it.",
                "{start} I did not like this {product}. Now I would not give it away.",
                "{start} this {product} seemed terrible to me. Now I think it is wonderful.",
                "I wrote a bad review of this {product} in {month}. I take it all back, it is excellent.",
            ),
            (
                "I used to love this {product}, but now I hate it.",
                "{start} I was happy with this {product}. Now I am very disappointed with it.",
                "{start} I liked this {product}. Now I wish I had not bought it.",
                "{start} this {product} seemed wonderful to me. Now I think it is terrible.",
                "I wrote a good review of this {product} in {month}. I take it all back, it is terrible.",
            ),
        ),
    ),
    "others_opinions": Kind(
        "opinions of others",
        "minimum functionality",
        "The opinion of the writer counts, not that of others.",
        _labeled(
            (
                "Many reviews call this {product} {bad}, but I love it.",
                "My {relative} hates this {product}, but I think it is great.",
                "I don't understand the bad reviews: this {product} is excellent.",
                "Everyone told me not to buy this {product}. I am so glad that I did.",
            ),
            (
                "Many reviews call this {product} {good}, but I hate it.",
                "My {relative} loves this {product}, but I think it is terrible.",
                "I don't understand the good reviews: this {product} is awful.",
                "Everyone told me to buy this {product}. I so wish that I had not.",
            ),
        ),
    ),
}
