"""Measure a whole process for one text, from the command to its end, beside what the same text costs elsewhere."""

import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from sentiment.common.errors import ClassifierError
from tools.process import run

CLASSIFIER = Path("models/classifier")
MAX_SECONDS = 120  # of a process
TEXT = "Soft, warm, and the color is lovely"
SENTENCE_TRANSFORMERS = """
import sys
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
transformer = Transformer(sys.argv[1])
model = SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())], device="cpu")
print(model.encode([sys.argv[2]]).shape)
"""


def measure(encoder: Path, rounds: int) -> Iterator[dict[str, object]]:
    """Yield least and greatest seconds of a new process, for each way to do it; they take turns.

    Raises:
        ClassifierError: there is no trained classifier.
        CommandError: a process failed.
    """
    if not CLASSIFIER.is_dir():
        raise ClassifierError(f"{CLASSIFIER} does not exist; run make repro first")
    commands = {
        "sentiment predict, one text": ["-m", "sentiment", "predict", TEXT],
        "import torch": ["-c", "import torch"],
        "sentence-transformers, features of one text": ["-c", SENTENCE_TRANSFORMERS, str(encoder), TEXT],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            started = perf_counter()
            run(Path(), sys.executable, *command, max_seconds=MAX_SECONDS)
            seconds[name].append(perf_counter() - started)
    for name, taken in seconds.items():
        yield {"baseline": name, "least_seconds": min(taken), "greatest_seconds": max(taken)}
