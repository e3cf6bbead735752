"""Merge two versions of dvc.lock, or of a file of metrics, as a merge driver of git: what both changed is run again.

    git config merge.dvc-results.driver "python -m tools.merge_lock %O %A %B"

.gitattributes names the files. In dvc.lock, a stage that one side alone changed is that side's. A stage that both
changed differently is left out: its code and params are merged as all others are, and `dvc repro` then runs it and
what depends on it. A file of metrics that both changed stays as it is here, because the same `dvc repro` writes it.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sentiment.common.command import run_main
from sentiment.common.errors import InputError, ParamsError
from sentiment.common.params import read_yaml

SCHEMA = "2.0"  # of dvc.lock
Stages = Mapping[str, Any]


def merge(base: Stages, ours: Stages, theirs: Stages) -> dict[str, Any]:
    """Return the stages of both sides, in the order of ours; without those that both changed differently.

    >>> merge({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 1, "c": 2}, {"a": 1, "b": 3, "c": 3})
    {'a': 2, 'b': 3}
    """
    merged = {}
    for name in dict.fromkeys((*ours, *theirs)):
        if ours.get(name) == theirs.get(name) or theirs.get(name) == base.get(name):
            side: Stages = ours
        elif ours.get(name) == base.get(name):
            side = theirs
        else:
            continue
        if name in side:
            merged[name] = side[name]
    return merged


def read_stages(path: Path) -> Stages:
    """Return the stages of a dvc.lock; raises InputError where it is another file, or one with marks of a conflict."""
    try:
        content = read_yaml(path.read_bytes(), str(path)) or {"schema": SCHEMA, "stages": {}}
    except ParamsError:
        content = None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or not isinstance(content.get("stages"), dict):
        raise InputError(f"{path}: no dvc.lock of schema {SCHEMA}")
    stages: Stages = content["stages"]
    return stages


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the three versions that git gives, and write the result in the place of ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "ours", "theirs"):
        parser.add_argument(name, type=Path)
    args = parser.parse_args(arguments)
    if not args.ours.read_bytes().startswith(b"schema:"):
        return  # metrics: ours stay
    stages = merge(*(read_stages(path) for path in (args.base, args.ours, args.theirs)))
    from dvc.utils.serialize import dump_yaml  # in the format in which DVC writes it

    dump_yaml(str(args.ours), {"schema": SCHEMA, "stages": stages})


if __name__ == "__main__":
    run_main(main)
