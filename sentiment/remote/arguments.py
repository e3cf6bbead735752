"""Arguments of `dvc exp run` in; one list of arguments for each experiment of the grid out.

A grid runs one after another in one folder, so that `encode` is computed once; DVC's queue would copy the project for
each and leave worker processes behind (DVC 3.67.1). Its own parser reads the values (`dvc.utils.hydra`).
"""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from sentiment.common.errors import ParamsError
from sentiment.remote.job import checked
from sentiment.remote.runner.layout import NAME

REFUSED = {
    "--temp": "the job runs in a folder of its own anyway",
    "--run-all": "the queue of this project stays here; give the values with -S",
    "-C": "add the file to git or DVC",
    "--copy-paths": "add the file to git or DVC",
    "--dry": "nothing would come back",
}
TARGET = re.compile(r"[\w./-]+")
DEFAULT_PARAMS = "params.yaml"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParamsError(f"arguments of dvc exp run: {message}")


def experiments(arguments: Sequence[str], name: str | None) -> list[list[str]]:
    """Return the arguments of each `dvc exp run`: several values of `-S` make a grid, named NAME-1, NAME-2, ...

    Args:
        arguments: what follows `--`, as `dvc exp run` takes it.
        name: of the experiment; `-n` among the arguments says the same.

    Raises:
        ParamsError: an argument that makes no sense elsewhere, or a value that DVC cannot read.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("-S", "--set-param", action="append", default=[])
    parser.add_argument("-n", "--name", default=name)
    parser.add_argument("--queue", action="store_true")  # implied by several values
    parser.add_argument("-j", "--jobs")  # of the queue
    parsed, others = parser.parse_known_args(list(arguments))
    for argument in others:
        option = argument.partition("=")[0]
        if option in REFUSED:
            raise ParamsError(f"{option}: not available in a remote run; {REFUSED[option]}")
        if not argument.startswith("-"):
            checked(argument, TARGET, "a target of dvc exp run")
    if parsed.name is not None:
        checked(parsed.name, NAME, "a name: letters, digits, '.', '_' and '-', at most 100")
    grid = sweep(parsed.set_param)
    names = [parsed.name] if len(grid) == 1 else [parsed.name and f"{parsed.name}-{i + 1}" for i in range(len(grid))]
    return [
        [*(["-n", one] if one else []), *(f"--set-param={value}" for value in values), *others]
        for one, values in zip(names, grid, strict=True)
    ]


def sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each experiment of a grid; raises ParamsError for one that is not PARAM=VALUE."""
    if not overrides:
        return [[]]
    from dvc.exceptions import DvcException
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import get_hydra_sweeps, to_hydra_overrides
    from hydra.errors import HydraException

    try:
        by_path = to_path_overrides(overrides)
        if not any(one.is_sweep_override() for values in by_path.values() for one in to_hydra_overrides(values)):
            return [list(overrides)]
        grid = get_hydra_sweeps(by_path)
    except (DvcException, HydraException, ValueError) as error:
        raise ParamsError(f"-S {' '.join(overrides)}: {str(error).splitlines()[0]}") from None
    return [
        [value if path == DEFAULT_PARAMS else f"{path}:{value}" for path, values in one.items() for value in values]
        for one in grid
    ]
