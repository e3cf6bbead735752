"""The page in a real browser: functions by clicks and keys, both widths, dark mode, accessibility, no other host."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sentiment.inference.classifier import SentimentClassifier
from tests.report.conftest import browser_path
from tests.serving.conftest import Server, StartServer

Scheme = Literal["light", "dark"]

pytestmark = pytest.mark.browser

GOOD, BAD = "Lovely dress, it fits perfectly and the color is beautiful", "Returned it, the fabric is cheap and itchy"
SETTINGS = [(1400, "light"), (1400, "dark"), (360, "light"), (360, "dark")]


@dataclass
class Opened:
    """A page, what went wrong on it, and what it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = browser_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def open_page(browser: Browser, server: Server, width: int = 1400, scheme: Scheme = "light", path: str = "/") -> Opened:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = Opened(context.new_page())
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on("console", lambda line: opened.errors.append(line.text) if line.type == "error" else None)
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto(server.url + path)
    return opened


@pytest.fixture
def opened(chromium: Browser, server: Server) -> Iterator[Opened]:
    """The page at 1400 px, with no error and no request to another host at the end."""
    opened = open_page(chromium, server)
    yield opened
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith((server.url, "data:", "blob:"))] == []


def test_a_review_gets_its_label_and_colored_words_as_it_is_typed(
    opened: Opened, sentiment: SentimentClassifier
) -> None:
    page = opened.page
    page.get_by_label("Write or paste a review").press_sequentially(GOOD, delay=5)
    expect(page.locator("#label")).to_have_text(str(sentiment.predict([GOOD])[0]))
    shown = f"{sentiment.predict_proba([GOOD])[0]:.3f}"
    expect(page.locator("#probability")).to_contain_text(shown)
    expect(page.locator("#words .word")).to_have_count(len(GOOD.split()))
    expect(page.locator("#words")).to_have_text(GOOD)
    expect(page.locator("#note")).to_contain_text("add up to the log-odds")
    explained = [url for url in opened.requests if url.endswith("/explain")]
    assert len(explained) < len(GOOD) / 2, "a request for each key"


def test_markup_emoji_and_an_emptied_box_are_shown_as_they_are(opened: Opened) -> None:
    page = opened.page
    text = "<img src=x onerror=alert(1)> 👗👗 nice & soft"
    box = page.get_by_label("Write or paste a review")
    box.fill(text)
    expect(page.locator("#words")).to_have_text(text)
    box.fill("")
    expect(page.locator("#label")).to_have_text("\N{EN DASH}")
    expect(page.locator("#words .word")).to_have_count(0)


def test_pasted_lines_are_labeled_sorted_filtered_and_downloaded_by_keyboard(
    opened: Opened, sentiment: SentimentClassifier, tmp_path: Path
) -> None:
    page = opened.page
    texts = [GOOD, BAD, f"{GOOD}, twice", f"{BAD}, twice"]
    page.get_by_label("Or paste a review a line").fill("\n".join(texts))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Label them")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("4 of 4 labeled")
    expect(page.locator("#rows tr")).to_have_count(4)
    expect(page.locator("#histogram .bar")).to_have_count(20)
    button = page.get_by_role("button", name="Probability")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("th", has=button)).to_have_attribute("aria-sort", "descending")
    shown = [float(cell) for cell in page.locator("#rows td:nth-child(3)").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    page.get_by_label("containing").fill("TWICE")
    expect(page.locator("#rows tr")).to_have_count(2)
    labels = sentiment.predict(texts)
    page.get_by_label("Show").select_option(str(labels[2]))
    expect(page.locator("#rows tr")).to_have_count(sum(label == labels[2] for label in labels[2:]))
    page.get_by_label("containing").fill("")
    page.get_by_label("Show").select_option("")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download CSV").press("Enter")
    downloading.value.save_as(tmp_path / "labels.csv")
    rows = sorted(csv.DictReader((tmp_path / "labels.csv").open()), key=lambda row: int(row["id"]))
    assert [row["text"] for row in rows] == texts
    assert [row["sentiment"] for row in rows] == labels
    assert [float(row["probability"]) for row in rows] == [float(p) for p in sentiment.predict_proba(texts)]


def test_a_csv_file_with_the_columns_of_training_is_labeled_as_title_and_body(
    opened: Opened, sentiment: SentimentClassifier, tmp_path: Path
) -> None:
    page = opened.page
    path = tmp_path / "new.csv"
    rows = [["44", "Returned", 'It says "soft",\nbut is not'], ["30", "", GOOD], ["20", "Only a title", ""]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["Age", "Title", "Review Text"], *rows])
    page.get_by_label("A CSV file").set_input_files(path)
    expect(page.locator("#status")).to_have_text("3 rows in new.csv")
    expect(page.get_by_label("Column")).to_have_value("*")
    page.get_by_role("button", name="Label them").click()
    expect(page.locator("#rows tr")).to_have_count(3)
    texts = [f"Returned. {rows[0][2]}", GOOD]
    shown = page.locator("#rows td:nth-child(3)").all_inner_texts()
    assert shown == [*(f"{p:.3f}" for p in sentiment.predict_proba(texts)), ""]


def test_a_dropped_file_is_read_and_nothing_to_label_is_said(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name="Label them").click()
    expect(page.get_by_role("alert")).to_contain_text("no review to label")
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["one\\n\\ntwo\\n"], "new.txt"));
            const event = new DragEvent("drop", { dataTransfer, bubbles: true });
            document.getElementById("drop").dispatchEvent(event);
        }"""
    )
    expect(page.locator("#status")).to_have_text("2 lines in new.txt")
    page.get_by_role("button", name="Label them").click()
    expect(page.locator("#rows tr")).to_have_count(2)


def test_labeling_can_be_stopped(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    path = tmp_path / "many.csv"
    path.write_text("text\n" + f"{GOOD.replace(',', '')}\n" * 20_000)
    page.get_by_label("A CSV file").set_input_files(path)
    expect(page.locator("#status")).to_have_text("20000 rows in many.csv")
    page.get_by_role("button", name="Label them").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Label them")).to_be_enabled()
    assert page.locator("#status").inner_text() != "20000 of 20000 labeled"


def test_the_page_says_what_the_classifier_is(opened: Opened) -> None:
    about = opened.page.locator("#about")
    for expected in ("Accuracy", "95% interval", "data/raw/sample.csv", "Commit", "Encoder"):
        expect(about).to_contain_text(expected)


@pytest.mark.parametrize(("width", "scheme"), SETTINGS)
def test_the_page_fits_and_has_no_violation_of_accessibility(
    chromium: Browser, server: Server, width: int, scheme: Scheme, tmp_path: Path
) -> None:
    opened = open_page(chromium, server, width, scheme)
    page = opened.page
    page.get_by_label("Write or paste a review").fill(f"{GOOD}. {BAD}")
    page.get_by_label("Or paste a review a line").fill("\n".join([GOOD, BAD] * 10))
    page.get_by_role("button", name="Label them").click()
    expect(page.locator("#rows tr")).to_have_count(20)
    expect(page.locator("#words .word").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert opened.errors == []


def test_every_control_can_be_reached_by_the_tab_key(opened: Opened) -> None:
    page = opened.page
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:4] == ["review", "file", "lines", "start"]
    assert "A" in reached


def test_the_api_is_described_without_another_host(chromium: Browser, server: Server) -> None:
    opened = open_page(chromium, server, path="/docs")
    expect(opened.page.get_by_text("/v2/models/sentiment/infer").first).to_be_visible(timeout=20_000)
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith((server.url, "data:"))] == []


def test_with_a_key_the_page_asks_for_it_and_then_works(chromium: Browser, start_server: StartServer) -> None:
    server = start_server(SENTIMENT_API_KEY="the-key")
    page = open_page(chromium, server).page
    page.get_by_label("Key of this server").fill("the-key")
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_contain_text("Encoder")
    expect(page.locator("#key-form")).to_be_hidden()
    page.get_by_label("Write or paste a review").fill(GOOD)
    expect(page.locator("#words .word").first).to_be_visible()


def test_the_policy_allows_no_inline_script_and_no_other_host(server: Server) -> None:
    with server.client() as client:
        policy = client.get("/").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert client.get("/assets/../page.py").status_code == 404
