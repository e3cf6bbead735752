"""Tell positive from negative product reviews; train, compare and serve the classifiers that do.

    sentiment predict "I love this dress, it fits perfectly"    label a text
    sentiment predict reviews.csv --output labels.csv          label a file
    sentiment insights reviews.csv --html insights.html        what customers are unhappy with
    sentiment serve                                            answer over HTTP, with a page to try it
    sentiment experiments                                      list what was tried, the best first
    sentiment report                                           show the results as one HTML page

`sentiment COMMAND --help` says what a command does, with examples.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from types import ModuleType

from sentiment.common.command import run_main
from sentiment.common.errors import ParamsError

# name: (summary, the extra of the package that installs what the command needs)
COMMANDS = {
    "predict": ("label texts, files or S3 objects", "s3"),
    "insights": ("find what customers are unhappy with, where and since when", "pipeline"),
    "drift": ("test whether new reviews are like those of training", "pipeline"),
    "batch": ("label many files, on many processes or machines", "s3"),
    "export": ("write a classifier as ONNX, or for sentence-transformers or transformers", "export"),
    "serve": ("serve a classifier over HTTP, with a page", "serve"),
    "init": ("find out how to read reviews of your own, and write it to params.yaml", "pipeline"),
    "check": ("test how a classifier behaves: negations, typos, other names, ...", "pipeline"),
    "experiments": ("list experiments, the best first, with the params that differ", "pipeline"),
    "compare": ("test whether one experiment is better than another", "pipeline"),
    "gate": ("decide whether a revision may take the place of the one in production", "pipeline"),
    "report": ("write an HTML report about one or more revisions", "report"),
    "baseline": ("train TF-IDF and the majority class, to compare with", "pipeline"),
    "doctor": ("check the S3 remote of a DVC project", "pipeline"),
    "push": ("upload outputs, those of earlier runs too", "pipeline"),
    "pull": ("download outputs; where that fails, say why", "pipeline"),
    "remote": ("run experiments on another machine, and bring them back", "pipeline"),
}
# for any command that asks for them
EXTRA_OF_PACKAGE = {
    "transformers": "transformers",
    "huggingface_hub": "transformers",
    "s3fs": "s3",
    "ray": "ray",
    "jinja2": "pipeline",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "sentence_transformers": "export",
}


def load(name: str) -> ModuleType:
    """Import the module of a sub-command, and not before it is called: some take seconds."""
    module: ModuleType
    if name == "predict":
        from sentiment.cli import predict as module
    elif name == "insights":
        from sentiment.cli import insights as module
    elif name == "drift":
        from sentiment.cli import drift as module
    elif name == "batch":
        from sentiment.cli import batch as module
    elif name == "export":
        from sentiment.cli import export as module
    elif name == "serve":
        from sentiment.cli import serve as module
    elif name == "init":
        from sentiment.cli import init as module
    elif name == "check":
        from sentiment.cli import check as module
    elif name == "experiments":
        from sentiment.cli import experiments as module
    elif name == "compare":
        from sentiment.cli import compare as module
    elif name == "gate":
        from sentiment.cli import gate as module
    elif name == "report":
        from sentiment.cli import report as module
    elif name == "baseline":
        from sentiment.cli import baseline as module
    elif name == "doctor":
        from sentiment.cli import doctor as module
    elif name == "push":
        from sentiment.cli import push as module
    elif name == "pull":
        from sentiment.cli import pull as module
    elif name == "remote":
        from sentiment.cli import remote as module
    else:
        raise ParamsError(f"'{name}' is not a command; expected {', '.join(COMMANDS)} (see sentiment --help)")
    return module


class Parser(argparse.ArgumentParser):
    """A parser whose help begins with the description: what the command does, then how it is called."""

    def format_help(self) -> str:
        """Return the help."""
        description, self.description = self.description, None
        try:
            return "\n".join([*([description] if description else []), super().format_help()])
        finally:
            self.description = description


def build_parser(requested: str) -> argparse.ArgumentParser:
    """Return the parser; only the sub-command `requested` has its arguments."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser("sentiment", description=__doc__, formatter_class=layout)
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (summary, _) in COMMANDS.items():
        if name == requested:
            module = load(name)
            command = commands.add_parser(name, help=summary, description=module.__doc__, formatter_class=layout)
            module.add_arguments(command)
            command.set_defaults(run=module.main)
        else:
            commands.add_parser(name, help=summary)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments` (default: the process's own) and exit with its status."""
    run_main(partial(dispatch, sys.argv[1:] if arguments is None else arguments))


def dispatch(arguments: Sequence[str]) -> int | None:
    """Run one sub-command and return its exit status.

    Raises:
        ParamsError: there is no such sub-command, or a package that it needs is not installed.
    """
    requested = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    if requested and requested not in COMMANDS:
        load(requested)
    try:
        return _run(requested, arguments)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "sentiment":
            raise
        extra = EXTRA_OF_PACKAGE.get(package) or COMMANDS[requested][1]
        install = f"pip install 'frozen-albert-sentiment[{extra}]'"
        command = f"sentiment {requested}".strip()
        raise ParamsError(f"{command}: the package {package} is not installed; run {install}") from None


def _run(requested: str, arguments: Sequence[str]) -> int | None:
    parser = build_parser(requested)
    args = parser.parse_args(arguments)
    if args.version:
        from importlib.metadata import version  # 20 ms that only this option pays

        sys.stdout.write(f"sentiment {version('frozen-albert-sentiment')}\n")
        return 0
    if args.command is None:
        parser.print_help()
        return 2
    status: int | None = args.run(args)
    return status
