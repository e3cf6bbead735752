"""The page in a real browser: both widths, dark mode, accessibility, keyboard, key, no other host."""

import signal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import WIDTHS_AND_SCHEMES, Opened, Scheme, assert_fits_and_is_accessible, open_url
from tests.serving.conftest import Server, StartServer

REVIEW = "Lovely dress, it fits perfectly, but the fabric is cheap and itchy"
KEY = "the-key"


def test_the_page_says_what_the_classifier_is(opened: Opened) -> None:
    about = opened.page.locator("#about")
    for expected in ("Accuracy", "95% interval", "data/raw/sample.csv", "Commit", "Encoder"):
        expect(about).to_contain_text(expected)
    expect(opened.page.locator("#summary")).to_contain_text("labeled correctly (95% interval")


@pytest.mark.parametrize(("width", "scheme"), WIDTHS_AND_SCHEMES)
def test_the_page_fits_and_has_no_violation_of_accessibility(
    browser: Browser, server: Server, width: int, scheme: Scheme
) -> None:
    opened = open_url(browser, server.url, width, scheme)
    page = opened.page
    expect(page.locator("#about")).to_contain_text("Encoder")
    assert_fits_and_is_accessible(page)
    page.get_by_label("Write or paste a review").fill(REVIEW)
    page.get_by_label("Or paste reviews, one per line").fill("\n".join([REVIEW, "x" * 500] * 10))
    page.get_by_role("button", name="Label reviews").click()
    expect(page.locator("#rows tr")).to_have_count(20)
    expect(page.locator("#words .word").first).to_be_visible()
    assert_fits_and_is_accessible(page)
    assert opened.errors == []


def test_every_control_can_be_reached_by_the_tab_key(opened: Opened) -> None:
    page = opened.page
    page.get_by_label("Or paste reviews, one per line").fill(REVIEW)
    page.get_by_role("button", name="Label reviews").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    page.get_by_label("Write or paste a review").focus()
    reached = []
    name = "(one) => one.id || one.dataset.key || one.className || one.tagName"
    for _ in range(13):
        reached.append(page.evaluate(f"({name})(document.activeElement)"))
        page.keyboard.press("Tab")
    list_controls = ["file", "lines", "start", "filter", "find", "download"]
    assert reached == ["review", *list_controls, "scroll", "id", "label", "probability", "text", "A"]


@pytest.mark.slow
def test_with_a_key_the_page_asks_for_it_and_then_works(browser: Browser, start_server: StartServer) -> None:
    server = start_server(SENTIMENT_API_KEY=KEY)
    page = open_url(browser, server.url).page
    box = page.get_by_label("Key of this server")
    expect(box).to_be_focused()
    expect(page.get_by_role("alert")).to_be_hidden()
    box.fill("another")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The server does not accept this key.")
    assert_fits_and_is_accessible(page)
    box.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_contain_text("Encoder")
    expect(box).to_be_hidden()
    expect(page.get_by_role("alert")).to_be_hidden()
    page.get_by_label("Write or paste a review").fill(REVIEW)
    expect(page.locator("#words .word").first).to_be_visible(timeout=20_000)


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_in_words(browser: Browser, start_server: StartServer) -> None:
    server = start_server()
    page = open_url(browser, server.url).page
    expect(page.locator("#about")).to_contain_text("Encoder")
    server.stop(signal.SIGKILL)
    page.get_by_label("Write or paste a review").fill(REVIEW)
    expect(page.get_by_role("alert")).to_have_text("No label: the server does not answer; check whether it still runs.")
    expect(page.locator("#result")).not_to_have_class("waiting")


def test_the_api_is_described_without_another_host(browser: Browser, server: Server) -> None:
    opened = open_url(browser, f"{server.url}/docs")
    expect(opened.page.get_by_text("/invocations").first).to_be_visible(timeout=20_000)
    assert opened.errors == []
    assert opened.requests_beyond(server.url) == []


def test_the_policy_allows_no_inline_script_and_no_other_host(server: Server) -> None:
    with server.client() as client:
        policy = client.get("/").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert client.get("/assets/../page.py").status_code == 404
