"""Small tables of reviews, what the classifier of the tests says of them, and `sentiment insights` in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment.cli.app import main
from sentiment.inference.classifier import SentimentClassifier
from sentiment.insights.counting import Corpus, PhraseCounter
from tests.command_call import call_command

TEXTS = [
    "Lovely fabric, but the zipper broke. It's not soft!",
    "The zipper broke twice",
    "Warm and lovely — the Zipper works",
    "!!!",
    "too big and the seam fell apart. " + "word " * 60,
]


@pytest.fixture(scope="session")
def corpus(sentiment: SentimentClassifier) -> Corpus:
    """The phrases of `TEXTS`, added in two chunks."""
    counter = PhraseCounter(sentiment)
    counter.add(TEXTS[:2])
    counter.add(TEXTS[2:])
    return counter.finish(1)


N_REVIEWS = 480
EVIL = "<script>window.run = 1</script><img src=x onerror='window.run = 2'>"

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(
    classifier: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> Call:
    """Call `sentiment insights` in an empty folder; returns exit status, standard output and log."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        status, log = call_command(
            lambda: main(["insights", *arguments, "--classifier", str(classifier)]), caplog, "sentiment"
        )
        return status, capsys.readouterr().out, log

    return run


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Reviews by a word that the classifier reads as negative; a complaint in Tops alone, and from July on."""
    rows = ["Title,Review Text,Rating,Department,day"]
    for index in range(N_REVIEWS):
        month, department = index % 12 + 1, "Tops" if index // 12 % 2 else "Dresses"
        is_negative = month > 6 and department == "Tops"
        text = f"Poor quality and the fabric is thin {EVIL}" if is_negative else "I love it and it fits perfectly"
        rows.append(f'Number {index},"{text}",{1 if is_negative else 5},{department},2024-{month:02d}-03')
    rows += [",,5,Tops,2024-01-01", 'No rating,"I love it",,Tops,2024-01-01']
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(rows) + "\n")
    (tmp_path / "params.yaml").write_text("prepare: {rating_column: Rating, positive_above: 3}\n")
    return path
