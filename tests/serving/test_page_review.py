"""One review on the page: its label and its words, as it is typed."""

from playwright.sync_api import Route, expect

from sentiment.inference.classifier import SentimentClassifier
from tests.browser import Opened

GOOD = "Lovely dress, it fits perfectly and the color is beautiful"
BOX = "Write or paste a review"


def test_a_review_gets_its_label_and_colored_words_as_it_is_typed(
    opened: Opened, sentiment: SentimentClassifier
) -> None:
    page = opened.page
    expect(page.locator("#verdict")).to_have_text("The label appears here as you type.")
    page.get_by_label(BOX).press_sequentially(GOOD, delay=5)
    expect(page.locator("#label")).to_have_text(str(sentiment.predict([GOOD])[0]))
    expect(page.locator("#probability")).to_contain_text(f"{sentiment.predict_proba([GOOD])[0]:.3f}")
    expect(page.locator("#words .word")).to_have_count(len(GOOD.split()))
    expect(page.locator("#words")).to_have_text(GOOD)
    expect(page.locator("#note")).to_contain_text("this is the log-odds")
    explained = [url for url in opened.requests if url.endswith("/explain")]
    assert len(explained) < len(GOOD) / 2, "a request for each key"


def test_the_words_that_count_most_are_named_with_their_contributions(
    opened: Opened, sentiment: SentimentClassifier
) -> None:
    page = opened.page
    page.get_by_label(BOX).fill(GOOD)
    [explanation] = sentiment.explain([GOOD])
    assert explanation is not None
    strongest = max(explanation.words, key=lambda word: word.contribution)
    sentence = f"Most for positive: {strongest.text.strip('.,')} +{strongest.contribution:.2f}"
    expect(page.locator("#strongest")).to_contain_text(sentence)
    expect(page.locator("#words .up.level3").first).to_be_visible()


def test_markup_emoji_and_an_emptied_box_are_shown_as_they_are(opened: Opened) -> None:
    page = opened.page
    text = "<img src=x onerror=alert(1)> 👗👗 nice & soft"
    box = page.get_by_label(BOX)
    box.fill(text)
    expect(page.locator("#words")).to_have_text(text)
    box.fill("")
    expect(page.locator("#verdict")).to_have_text("The label appears here as you type.")
    expect(page.locator("#words .word")).to_have_count(0)


def test_a_long_text_is_not_cut_and_one_beyond_the_limit_is_refused_in_words(opened: Opened) -> None:
    page = opened.page
    box = page.get_by_label(BOX)
    box.fill("soft " * 10_000)
    expect(page.locator("#note")).to_contain_text("longer than the encoder reads")
    box.fill("soft " * 30_000)
    expect(page.get_by_role("alert")).to_contain_text("the text has 150,000 characters; the limit is 100,000")
    expect(page.locator("#verdict")).to_have_text("No label.")
    opened.errors.clear()  # the browser logs the status 413
    box.fill("soft")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#label")).not_to_be_empty()


def test_a_slow_answer_is_shown_as_awaited_and_an_older_one_never_wins(opened: Opened) -> None:
    page = opened.page
    held: list[Route] = []
    page.route("**/explain", lambda route: held.append(route), times=1)
    box = page.get_by_label(BOX)
    box.fill("The first text")
    expect(page.locator("#result")).to_have_class("waiting")
    expect(page.locator("#verdict")).to_have_text("Asking the server …")
    assert len(held) == 1
    box.fill("The second text")
    expect(page.locator("#words")).to_have_text("The second text")
    expect(page.locator("#result")).not_to_have_class("waiting")
