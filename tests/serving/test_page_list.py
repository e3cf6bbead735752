"""Many reviews on the page: from a file or pasted lines to a table, a histogram and a download."""

import csv
import json
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect

from sentiment.inference.classifier import SentimentClassifier
from tests.browser import Opened
from tests.project import ROOT

GOOD, BAD = "Lovely dress, it fits perfectly and the color is beautiful", "Returned it, the fabric is cheap and itchy"
LINES, FILE, START = "Or paste reviews, one per line", "A file:", "Label reviews"


def test_pasted_lines_are_labeled_sorted_filtered_and_downloaded_by_keyboard(
    opened: Opened, sentiment: SentimentClassifier, tmp_path: Path
) -> None:
    page = opened.page
    texts = [GOOD, BAD, f"{GOOD}, twice", f"{BAD}, twice"]
    page.get_by_label(LINES).fill("\n".join(texts))
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=START)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("4 of 4 labeled")
    expect(page.locator("#rows tr")).to_have_count(4)
    expect(page.locator("#histogram .bar")).to_have_count(20)
    labels = sentiment.predict(texts)
    n_positive = sum(label == "positive" for label in labels)
    expect(page.locator("#histogram-title")).to_contain_text(f"{n_positive} positive, {4 - n_positive} negative")
    button = page.get_by_role("button", name="Probability")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("th", has=button)).to_have_attribute("aria-sort", "descending")
    shown = [float(cell) for cell in page.locator("#rows td:nth-child(3)").all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    page.get_by_label("containing").fill("TWICE")
    expect(page.locator("#rows tr")).to_have_count(2)
    page.get_by_label("Show").select_option(str(labels[2]))
    expect(page.locator("#rows tr")).to_have_count(sum(label == labels[2] for label in labels[2:]))
    page.get_by_label("containing").fill("")
    page.get_by_label("Show").select_option("")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download 4 rows as CSV").press("Enter")
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
    page.get_by_label(LINES).fill("a line that was pasted before")
    page.get_by_label(FILE).set_input_files(path)
    expect(page.locator("#status")).to_have_text("3 rows in new.csv")
    expect(page.get_by_label(LINES)).to_be_empty()
    page.get_by_role("button", name=START).click()
    expect(page.locator("#rows tr")).to_have_count(3)
    texts = [f"Returned. {rows[0][2]}", GOOD]
    shown = page.locator("#rows td:nth-child(3)").all_inner_texts()
    assert shown == [*(f"{p:.3f}" for p in sentiment.predict_proba(texts)), ""]
    expect(page.locator("#histogram-title")).to_contain_text("1 without text")


def predict(classifier: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """Label a file by the command line."""
    command = [sys.executable, "-m", "sentiment", "predict", "--classifier", str(classifier), str(file)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)


def test_a_file_that_predict_refuses_is_refused_in_the_same_words(
    opened: Opened, classifier: Path, tmp_path: Path
) -> None:
    page = opened.page
    path = tmp_path / "export.csv"
    path.write_bytes("Order;Title;Review Text\n17;Très bien;Souple, léger\n18;;Trop grand\n".encode("cp1252"))
    page.get_by_label(FILE).set_input_files(path)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("export.csv was not read: ")
    reason = predict(classifier, path).stderr.strip().removeprefix(f"error: {path}: ")
    assert reason[:60] in alert.inner_text()
    opened.errors.clear()  # the browser logs the status 422
    page.get_by_role("button", name=START).click()
    expect(alert).to_contain_text("no review to label")
    expect(page.locator("#rows tr")).to_have_count(0)


def test_broken_rows_are_named_and_the_others_have_the_labels_of_predict(
    opened: Opened, classifier: Path, tmp_path: Path
) -> None:
    page = opened.page
    path = tmp_path / "some.tsv"
    path.write_bytes(f"Title\tReview Text\n\t{GOOD}\nTr\xe8s\tbien\n\t{BAD}\nonly one\n".encode("latin-1"))
    page.get_by_label(FILE).set_input_files(path)
    expect(page.locator("#status")).to_have_text("4 rows in some.tsv")
    expect(page.locator("#problems li")).to_have_count(2)
    expect(page.locator("#problems")).to_contain_text("row 2 ")
    page.get_by_role("button", name=START).click()
    expect(page.locator("#rows tr")).to_have_count(4)
    shown = page.locator("#rows td:nth-child(2)").all_inner_texts()
    expected = [row["sentiment"] for row in csv.DictReader(predict(classifier, path).stdout.splitlines())]
    assert [label.replace("no text", "") for label in shown] == expected


def test_pasted_lines_take_the_place_of_a_file(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    path = tmp_path / "new.jsonl"
    path.write_text(json.dumps({"Title": "", "Review Text": GOOD}))
    page.get_by_label(FILE).set_input_files(path)
    expect(page.locator("#status")).to_have_text("1 row in new.jsonl")
    page.get_by_label(LINES).fill(f"{GOOD}\n{BAD}\n{GOOD}")
    expect(page.get_by_label(FILE)).to_have_value("")
    page.get_by_role("button", name=START).click()
    expect(page.locator("#rows tr")).to_have_count(3)


def test_nothing_to_label_is_said(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("button", name=START).click()
    expect(page.get_by_role("alert")).to_contain_text("no review to label")
    expect(page.get_by_role("alert")).to_be_in_viewport()


def test_each_line_of_a_text_file_is_a_row(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    (tmp_path / "new.txt").write_text("one\n\ntwo\n")
    page.get_by_label(FILE).set_input_files(tmp_path / "new.txt")
    expect(page.locator("#status")).to_have_text("3 rows in new.txt")
    page.get_by_role("button", name=START).click()
    expect(page.locator("#rows tr")).to_have_count(3)


def test_labeling_can_be_stopped(opened: Opened, tmp_path: Path) -> None:
    page = opened.page
    path = tmp_path / "many.csv"
    path.write_text("Title,Review Text\n" + f",{GOOD.replace(',', '')}\n" * 20_000)
    page.get_by_label(FILE).set_input_files(path)
    expect(page.locator("#status")).to_have_text("20,000 rows in many.csv")
    page.get_by_role("button", name=START).click()
    page.get_by_role("button", name="Stop").press("Enter")
    expect(page.get_by_role("button", name=START)).to_be_focused()
    expect(page.locator("#status")).to_contain_text("Stopped: ")
