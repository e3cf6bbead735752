"""The `sentiment` command: imports the module of one sub-command and runs it.

sentiment predict "Soft, warm, and the color is lovely"
sentiment compare main workspace
sentiment COMMAND --help
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from functools import partial

from sentiment.common.command import run_main
from sentiment.common.errors import ParamsError

# name: (module, summary); a module is imported when its sub-command is called, because some take seconds
COMMANDS = {
    "predict": ("sentiment.cli.predict", "label texts, files or S3 objects"),
    "batch": ("sentiment.cli.batch", "label many files, on many processes or machines"),
    "compare": ("sentiment.cli.compare", "test whether one experiment is better than another"),
    "baseline": ("sentiment.cli.baseline", "train TF-IDF and the majority class, to compare with"),
    "noise": ("sentiment.cli.noise", "list reviews whose label is likely wrong"),
    "experiments": ("sentiment.cli.experiments", "list experiments: params that differ, accuracy and AUC"),
    "serve": ("sentiment.cli.serve", "serve a classifier over HTTP, with a page"),
    "report": ("sentiment.cli.report", "write an HTML report about one or two revisions"),
    "remote": ("sentiment.cli.remote", "run experiments on another machine, and bring them back"),
    "pretrain": ("sentiment.cli.pretrain", "make the bundled encoder from review texts (in a checkout)"),
}


def build_parser(loaded: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; only the sub-commands in `loaded` have their arguments."""
    parser = argparse.ArgumentParser(
        "sentiment", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    parser.add_argument("--print-completion", choices=["bash", "zsh", "tcsh"], help="print a shell completion script")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module_name, summary) in COMMANDS.items():
        if name in loaded:
            module = importlib.import_module(module_name)
            command = commands.add_parser(
                name, help=summary, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
            )
            module.add_arguments(command)
            command.set_defaults(run=module.main)
        else:
            commands.add_parser(name, help=summary)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments` (default: those of the process) and exit with its status."""
    run_main(partial(dispatch, sys.argv[1:] if arguments is None else arguments))


def dispatch(arguments: Sequence[str]) -> int | None:
    """Run one sub-command and return its exit status."""
    requested = arguments[0] if arguments else ""
    if requested and not requested.startswith("-") and requested not in COMMANDS:
        raise ParamsError(f"'{requested}' is not a command; expected {', '.join(COMMANDS)} (see sentiment --help)")
    completes = requested.startswith("--print-completion")
    parser = build_parser(list(COMMANDS) if completes else [requested])
    args = parser.parse_args(arguments)
    if args.version:
        from importlib.metadata import version  # 20 ms that only this option pays

        sys.stdout.write(f"sentiment {version('frozen-albert-sentiment')}\n")
        return 0
    if args.print_completion:
        import shtab  # comes with DVC, which uses it for the same purpose

        sys.stdout.write(shtab.complete(parser, args.print_completion))
        return 0
    if args.command is None:
        parser.print_help()
        return 2
    status: int | None = args.run(args)
    return status
