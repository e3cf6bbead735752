"""Check how the classifier behaves: texts from templates, whose label, or its change, a reader knows.

    python -m stages.check --classifier models/classifier --output data/check --metrics metrics/check.json

The failure rates of the three types of test are metrics; behavior.json of the output has those of each kind, with
intervals and examples.
"""

import argparse
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pydantic import Field

from sentiment.behavior.suite import MAX_CASES, KindResult, check
from sentiment.common.command import run_main
from sentiment.common.files import write_json
from sentiment.common.params import StageInputs, StageParams
from sentiment.encoder.config import Device
from sentiment.inference.classifier import SentimentClassifier

N_EXAMPLES = 3  # of each kind

log = logging.getLogger(__name__)


class Params(StageParams):
    """Section `check` of params.yaml.

    Attributes:
        cases: of each kind.
        seed: of the sample of cases.
        device: where the encoder runs.
    """

    cases: int = Field(ge=1, le=MAX_CASES)
    seed: int = Field(ge=0)
    device: Device


def rates_by_test(results: Iterable[KindResult]) -> dict[str, float]:
    """Return the failure rate of each type of test, over its kinds; few, so that `dvc metrics diff` is short."""
    n_cases: Counter[str] = Counter()
    n_failures: Counter[str] = Counter()
    for one in results:
        n_cases[one.test] += one.cases
        n_failures[one.test] += one.failures
    return {test.replace(" ", "_"): n_failures[test] / n_cases[test] for test in n_cases}


def main() -> None:
    """Read the arguments and inputs, do the work, write the outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="settings (default: %(default)s)")
    parser.add_argument("--classifier", type=Path, required=True, help="the folder of the trained classifier")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the results to write")
    parser.add_argument("--metrics", type=Path, required=True, help="the failure rates to write (JSON)")
    args = parser.parse_args()

    inputs = StageInputs(args.params, "check", Params)
    params = inputs.params
    inputs.watch(args.classifier)
    classifier = SentimentClassifier.load(args.classifier, params.device)
    results = check(classifier.predict_proba, classifier.threshold, params.seed, params.cases, N_EXAMPLES)
    write_json(args.output / "behavior.json", {kind: asdict(one) for kind, one in results.items()})
    write_json(args.metrics, {"failure_rate": rates_by_test(results.values())})
    inputs.check_unchanged()
    worst = max(results.values(), key=lambda one: one.failure_rate)
    log.info("check: %d kinds of %d cases, most failures in %s: %.1f%%", len(results), params.cases, worst.title,
             100 * worst.failure_rate)  # fmt: skip


if __name__ == "__main__":
    run_main(main)
