"""Serve a classifier over HTTP, and a page to try it.

    sentiment serve
    sentiment serve --rev v1.0 --port 9000
    SENTIMENT_API_KEY=... sentiment serve --host 0.0.0.0

On the loopback address nothing is asked of clients. Any other address needs the environment variable
SENTIMENT_API_KEY, which clients send as `Authorization: Bearer KEY`, or --no-auth. TLS is left to a proxy: see
docs/serving.md.

For containers, SENTIMENT_CLASSIFIER, SENTIMENT_HOST, SENTIMENT_PORT and SENTIMENT_NO_AUTH=1 set the defaults.
"""

import argparse
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from sentiment.cli.arguments import add_classifier_arguments, positive
from sentiment.common.command import stop_if_asked
from sentiment.common.errors import InputError, ParamsError, PipelineError
from sentiment.common.params import read_yaml
from sentiment.common.tables import TEST
from sentiment.experiments.revisions import CLASSIFIER, METRICS, PARAMS, Revision, is_of_pipeline
from sentiment.inference.classifier import SentimentClassifier
from sentiment.serving.schemas import ENV_KEY

ENV_HOST, ENV_PORT = "SENTIMENT_HOST", "SENTIMENT_PORT"
ENV_CLASSIFIER, ENV_NO_AUTH = "SENTIMENT_CLASSIFIER", "SENTIMENT_NO_AUTH"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment serve`; those that a container sets have environment variables too."""
    env = os.environ.get
    add_classifier_arguments(parser, Path(env(ENV_CLASSIFIER, CLASSIFIER)))
    parser.add_argument(
        "--host", default=env(ENV_HOST, "127.0.0.1"), help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--port", type=natural, default=env(ENV_PORT, "8080"), help="0 is a free one (%(default)s)")
    parser.add_argument(
        "--no-auth", action="store_true", default=env(ENV_NO_AUTH) == "1", help="ask for no key on any address"
    )
    parser.add_argument("--queue-texts", type=positive, default=4_096, help="texts that may wait (%(default)s)")
    parser.add_argument("--max-texts", type=positive, default=4_096, help="texts of one request (%(default)s)")
    parser.add_argument("--max-chars", type=positive, default=100_000, help="characters of one text (%(default)s)")
    parser.add_argument("--max-body-mib", type=positive, default=8, help="MiB of one request (%(default)s)")
    note = "append what was predicted, without the texts, for `sentiment drift --predictions`"
    parser.add_argument("--prediction-log", type=Path, metavar="FILE", help=note)
    drain = "seconds after SIGTERM in which /health says 503 and requests are still answered (%(default)s)"
    parser.add_argument("--drain-seconds", type=natural, default=5, help=drain)


def natural(text: str) -> int:
    """Read a port or a number of seconds from the command line or the environment."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to 65,535")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Load the classifier and serve it until SIGTERM or Ctrl-C."""
    from sentiment.serving.app import bind, is_loopback, run  # fastapi: most of a second
    from sentiment.serving.protocols import Settings

    listener = bind(args.host, args.port)
    api_key = checked_key(args.no_auth, is_loopback(listener), args.host)
    settings = Settings(
        args.queue_texts,
        args.max_texts,
        args.max_chars,
        args.max_body_mib * 2**20,
        api_key,
        classifier_info(args.rev, args.classifier),
        args.prediction_log,
    )
    classifier = SentimentClassifier.load_revision(args.rev, args.classifier, args.device)
    stop_if_asked()
    run(classifier, settings, listener, args.drain_seconds)
    return 0


def checked_key(no_auth: bool, is_loopback: bool, host: str) -> str | None:
    """Return the key that clients must send, None for none.

    Raises:
        ParamsError: an address that others reach has neither a key nor --no-auth.
    """
    key = os.environ.get(ENV_KEY)
    if no_auth or (key is None and is_loopback):
        return None
    if key is None:
        raise ParamsError(
            f"{host} can be reached by others: set {ENV_KEY}, or pass --no-auth where a proxy asks for it"
        )
    return key


def classifier_info(rev: str, folder: Path) -> dict[str, Any]:
    """Return what is known of the classifier: test accuracy with its interval, source of the data, commit.

    Of a folder that the pipeline has not written, nothing is.
    """
    info: dict[str, Any] = {"revision": rev, "accuracy": None, "source": None, "commit": None}
    if not is_of_pipeline(folder):
        return info
    revision = Revision(rev)
    with suppress(InputError, ValueError):
        metrics = json.loads(revision.read_scored(METRICS, TEST))
        info |= {key: metrics[key] for key in ("rows", "accuracy", "accuracy_low", "accuracy_high") if key in metrics}
    with suppress(PipelineError, KeyError, TypeError, ImportError):
        info["source"] = read_yaml(revision.read(PARAMS), PARAMS)["prepare"]["source"]
    with suppress(OSError, subprocess.SubprocessError):  # no git here
        info["commit"] = revision.commit
    return info
