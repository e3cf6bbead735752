"""Write short opinions of things that no review of the corpus speaks of: food, rooms, clothes, apps, delivery.

Every phrase was written for this project, and says itself whether it praises. The teacher gives the targets of their
tokens and texts, as of any other text; their opinion is the one with which they were written. None is a text of the
behavioral tests (`sentiment.behavior`), whose results would otherwise say nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

STRONG, WEAK = 1.5, 0.8  # of an opinion, in standard deviations of those of reviews
MAX_SENTENCES = 4
EMOJI_PROBABILITY = 0.15


class Domain(NamedTuple):
    """What is reviewed, and what is said of it after its name."""

    things: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]


def phrases(text: str) -> tuple[str, ...]:
    """Return phrases that commas separate."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(","))


DOMAINS = (
    Domain(  # restaurants
        phrases(
            """food, burger, pizza, steak, salad, sushi, soup, pasta, sandwich, chicken, fish, breakfast, dessert,
            coffee, sauce, rice, bread, tacos, fries, wine, beer, menu, salsa, shrimp, pho, buffet, brunch, curry"""
        ),
        phrases(
            """was delicious, was fresh and tasty, was cooked to perfection, was full of flavor, had great flavor,
            was amazing, was to die for, was hot and crisp, melted in my mouth, was tender and juicy, was yummy,
            was well seasoned, was worth the wait, came in generous portions, was the best in town, had me licking my
            plate, was absolutely wonderful, hit the spot"""
        ),
        phrases(
            """was bland, was cold, was dry and overcooked, had no flavor, tasted like cardboard, was greasy and soggy,
            was undercooked, was stale, made me sick, was way overpriced, was disgusting, was burnt, came out raw,
            had a hair in it, was mediocre at best, was rubbery, tasted old, took over an hour, was salty as the sea"""
        ),
    ),
    Domain(  # service and venues
        phrases(
            """service, staff, waiter, waitress, server, manager, hostess, bartender, owner, place, restaurant, bar,
            hotel, room, lobby, pool, bathroom, bed, front desk, location, atmosphere, salon, clinic, doctor, store,
            airline, crew, seat, flight, lounge, cashier, driver, mechanic, view, patio, shower"""
        ),
        phrases(
            """was friendly and attentive, was excellent, was spotless, was so helpful, went above and beyond,
            made us feel welcome, was quick and polite, was cozy, was clean and quiet, was beautiful, took great care of
            us, was prompt, never disappoints, was comfortable and modern, exceeded our expectations, was lovely,
            was charming, had a great vibe, is a hidden gem"""
        ),
        phrases(
            """was rude, was slow, was dirty, ignored us, was filthy and smelled, never came back, was terrible,
            forgot our order, was unprofessional, was noisy and run down, treated us like garbage, was a rip off,
            overcharged us, was closed without notice, could not care less, was outdated, kept us waiting, lied to us,
            was full of bugs, was awkward and cold"""
        ),
    ),
    Domain(  # clothes
        phrases(
            """dress, shirt, sweater, jeans, blouse, skirt, coat, top, pants, shoes, boots, jacket, fabric, material,
            color, fit, cut, waist, sleeves, neckline, leggings, cardigan, tee, lining, length, pattern, shorts, style,
            romper, swimsuit, bra, hem, design"""
        ),
        phrases(
            """fits like a glove, is true to size, is super flattering, is soft and cozy, looks great on, drapes well,
            is so cute, washes well, hides my tummy, is gorgeous, is my new favorite, feels luxurious, is just right,
            is perfect for work and weekends, gets me many compliments, is well made and warm, is very pretty,
            goes with everything, is even prettier in person, is light and airy, makes me feel beautiful"""
        ),
        phrases(
            """runs small, runs huge, is itchy, is too tight in the bust, shrank, fell apart, looks cheap, is see
            through, is boxy and shapeless, looks like a tent, is unflattering, makes me look pregnant, is too short,
            faded after one wash, is stiff and scratchy, is not what is pictured, hangs weird, is way too big,
            looks like a sack, has loose threads and holes, gapes at the chest, is going back, is frumpy, pills"""
        ),
    ),
    Domain(  # devices
        phrases(
            """phone, headset, battery, charger, case, screen, camera, sound, cable, headphones, bluetooth, laptop,
            router, mouse, remote, speaker, adapter, memory card, reception, microphone, printer, monitor, ear piece,
            keypad, software, drive, radio, tv, player, signal, plug, lens, receiver, hard drive"""
        ),
        phrases(
            """works great, works perfectly, lasts all day, is crystal clear, is loud and clear, is easy to set up,
            charges fast, is a great value, fits securely, does exactly what it should, is fast and reliable,
            is light and handy, arrived quickly and works, is sturdy, is the best i have had, pairs without a problem,
            holds a charge, has excellent quality, works as advertised, is a good buy"""
        ),
        phrases(
            """died after a month, does not work, stopped working, is defective, broke within days, drops calls,
            will not hold a charge, is junk, cuts out constantly, is too quiet, overheats, froze, is a piece of crap,
            does not fit, came broken, was dead on arrival, is poorly made, has horrible reception, keeps crashing,
            hurts my ear, would not turn on, had to be returned, sounds tinny and distorted, is useless"""
        ),
    ),
    Domain(  # household and care
        phrases(
            """toaster, blender, pan, knife, mug, pillow, sheets, towel, vacuum, lamp, shampoo, lotion, perfume, cream,
            mattress, oven, mixer, bowl, glass, filter, toy, game, puzzle, book, album, tool, drill, bag, stroller,
            cat litter, dog food, vitamin, razor, candle, rug, chair, table, fan, heater, grill"""
        ),
        phrases(
            """is a pleasure to use, is worth every penny, cleans up easily, is a lifesaver, works like a charm,
            smells wonderful, is solid and well built, made my life easier, is a joy, is a must have, looks beautiful,
            keeps my kids happy, does the job, is just what i needed, is top quality, has held up for years,
            makes a perfect gift, is fun for all ages, is easy on my skin"""
        ),
        phrases(
            """leaks, rusted, cracked, smells awful, is flimsy, is a waste of space, chipped right away, is dangerous,
            was missing parts, left a mess, gave me a rash, is cheap plastic, does nothing, jams, is impossible to
            clean, fell to pieces, is a joke, is boring, is too small to be of use, wobbles, is a fire hazard,
            is nothing like the picture, ended up in the trash"""
        ),
    ),
    Domain(  # apps, films, orders
        phrases(
            """app, update, website, login, delivery, order, package, support, company, seller, price, refund, warranty,
            subscription, game play, graphics, plot, acting, script, story, cast, ending, soundtrack, course, teacher,
            customer service, shipping, checkout, return policy, interface, driver, movie"""
        ),
        phrases(
            """is excellent, was fast and painless, is intuitive, exceeded my expectations, was handled at once,
            is superb, is funny and touching, made my day, is brilliant, is better every time, was honest and fair,
            kept me hooked, was right on time, is outstanding, is first rate, is simple and smooth, solved my problem,
            is addictive in a good way"""
        ),
        phrases(
            """is a scam, was late and damaged, is full of ads, crashes all the time, never answered, was canceled
            without a word, is a nightmare, is predictable and dull, is horrible, is broken, was the wrong one,
            is awful, refused to help, is painful to watch, wasted my time, is wooden, is a mess, is laughable,
            makes no sense, charged me twice, is pathetic"""
        ),
    ),
)
PRAISES = phrases(
    """i love it, love it so much, highly recommended, i will be back, we will go again, best purchase in ages,
    five out of five from me, could not ask for more, so glad i found this, great value, thumbs up, very pleased,
    i am impressed, you will not regret it, well worth it, i cannot say enough good things, perfect, awesome,
    nothing to complain about, not bad at all, no problems so far, it never fails, i was not disappointed,
    i would gladly do it again, exactly what i wanted, buy it, i could not stop smiling, a real treat, fantastic,
    there is not a thing i would change, i bought a second one, i recommend it to all my friends, totally satisfied"""
)
COMPLAINTS = phrases(
    """i hate it, do not waste your money, avoid, stay away, never again, i want my money back, very disappointed,
    what a waste, i will not be back, not recommended, save your money, not worth it, one of the worst ever,
    i returned it, it went straight back, such a letdown, do not bother, i regret it, total garbage, not impressed,
    i expected better, not good, it is not as described, i cannot recommend it, nothing about it is good, look
    elsewhere, i wanted to love it, too bad, i was not happy, you get what you pay for, the worst, never
    buying from them again, do yourself a favor and skip it, no thanks, it was not what i hoped for"""
)
FACTS = phrases(
    """i bought it last month, we came on a tuesday, i ordered two, it was for my sister, there were four of us,
    i am five foot four, i usually wear a medium, it came in a box, i got it on sale, we sat outside, i had read about
    it, this is my second one, i paid with a card, we stayed two nights, i got the blue one, it is made of cotton"""
)
OPENINGS = ("", "", "", "overall ", "honestly ", "i must say that ", "to be fair, ", "as for me, ", "in short, ")
DEGREES = ("", "", "", ", really", ", no doubt", " for me", " every time", " this time", " as always")
# {a} is a clause that praises in a text that is positive, and complains in one that is not; {z} is the opposite
CONTRASTS = (
    "{z}, but {a}",
    "although {z}, {a}",
    "{z}. however, {a}",
    "some people say {z}. i disagree: {a}",
    "i thought {z}. i was wrong, {a}",
    "it used to be that {z}; these days {a}",
    "my husband thinks {z}, but to me {a}",
    "even though {z}, i have to say {a}",
)
COMPARED = {  # {x}: a thing
    True: phrases(
        """this {x} is so much better than my last, the other {x} was worse than this, i prefer this {x} to the rest,
        no {x} is better than this, compared with others this {x} wins, my former {x} was nothing next to this"""
    ),
    False: phrases(
        """this {x} is so much worse than my last, the other {x} was better than this, i prefer any other {x} to this,
        no {x} is worse than this, compared with others this {x} loses, my former {x} was a dream next to this"""
    ),
}
DENIED = {  # {c}: a clause of the opposite opinion
    True: ("it is not true that {c}", "i do not agree that {c}", "nobody can say that {c}", "i never found that {c}"),
    False: ("it is not true that {c}", "i would not say that {c}", "do not believe that {c}", "no way that {c}"),
}
EMOJI = {  # and the word of the teacher's vocabulary in whose place it stands
    True: dict.fromkeys("😀😃😄😁😊🙂😎", "happy")
    | dict.fromkeys("😍🥰😘❤♥💕💖💯", "love")
    | dict.fromkeys("👍👏🙌👌✅", "great")
    | dict.fromkeys("🤩🎉⭐🌟🔥✨💪", "amazing")
    | dict.fromkeys("😋", "delicious")
    | dict.fromkeys("😂🤣", "funny"),
    False: dict.fromkeys("😡😠🤬💢", "angry")
    | dict.fromkeys("👎❌🚫💩", "terrible")
    | dict.fromkeys("😞😢😭😔☹🙁💔😩😫", "sad")
    | dict.fromkeys("🤮🤢", "disgusting")
    | dict.fromkeys("😒🙄😕😑👿", "awful"),
}


class Opinion(NamedTuple):
    """A text, and how positive it is, in standard deviations."""

    text: str
    opinion: float


def write_opinions(n: int, seed: int) -> list[Opinion]:
    """Return texts of one to four sentences; equal arguments give equal texts.

    >>> [len(write_opinions(3, seed=0)), write_opinions(1, seed=0) == write_opinions(1, seed=0)]
    [3, True]
    """
    rng = np.random.default_rng(seed)
    return [_written(rng) for _ in range(n)]


def _written(rng: np.random.Generator) -> Opinion:
    positive, domain = bool(rng.random() < 0.5), DOMAINS[rng.integers(len(DOMAINS))]
    kind = rng.random()
    if kind < 0.06:
        sentences, opinion = [_pick(rng, FACTS)], 0.0
    elif kind < 0.18:
        contrast = _pick(rng, CONTRASTS)
        sentences = [contrast.format(a=_clause(rng, domain, positive), z=_clause(rng, domain, not positive))]
        opinion = WEAK
    elif kind < 0.24:
        sentences, opinion = [_pick(rng, COMPARED[positive]).format(x=_pick(rng, domain.things))], STRONG
    elif kind < 0.28:
        sentences, opinion = [_pick(rng, DENIED[positive]).format(c=_clause(rng, domain, not positive))], WEAK
    else:
        sentences, opinion = [_sentence(rng, domain, positive)], STRONG
    while len(sentences) < MAX_SENTENCES and rng.random() < 0.4:
        more = _pick(rng, FACTS) if opinion == 0 or rng.random() < 0.2 else _sentence(rng, domain, positive)
        sentences.insert(int(rng.integers(len(sentences) + 1)), more)
    text = " ".join(sentence.capitalize() + _pick(rng, (".", ".", ".", "!", "")) for sentence in sentences)
    if opinion and rng.random() < EMOJI_PROBABILITY:
        text += " " + _pick(rng, tuple(EMOJI[positive])) * int(rng.integers(1, 4))
    return Opinion(text, opinion if positive else -opinion)


def _sentence(rng: np.random.Generator, domain: Domain, positive: bool) -> str:
    """Return a sentence of one opinion, about a thing or in general."""
    if rng.random() < 0.3:
        return _pick(rng, PRAISES if positive else COMPLAINTS)
    sentence = _pick(rng, OPENINGS) + _clause(rng, domain, positive)
    if rng.random() < 0.2:
        return f"{sentence} and {_clause(rng, domain, positive)}"
    return sentence + _pick(rng, DEGREES)


def _clause(rng: np.random.Generator, domain: Domain, positive: bool) -> str:
    return f"{_pick(rng, ARTICLES)} {_pick(rng, domain.things)} {_pick(rng, domain.good if positive else domain.bad)}"


ARTICLES = ("the", "the", "the", "this", "their", "my")


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
