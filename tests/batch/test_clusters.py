"""The files in deploy are what their programs accept, and call commands that exist."""

import shlex
from typing import Any

import pytest
import yaml

from sentiment.cli.app import build_parser
from tests.project import ROOT

CLUSTERS = ROOT / "deploy"


def test_ray_accepts_the_cluster() -> None:
    util: Any = pytest.importorskip("ray.autoscaler._private.util")
    util.validate_config(util.prepare_config(yaml.safe_load((CLUSTERS / "ray.yaml").read_text())))


@pytest.mark.parametrize("name", ["skypilot.yaml", "slurm.sh"])
def test_the_command_has_the_arguments_that_are_given(name: str) -> None:
    [line] = [
        line for line in (CLUSTERS / name).read_text().splitlines() if "sentiment batch " in line and "#" not in line
    ]
    line = line.replace('"$SHARD"', "3/4")
    line = line.replace('"$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"', "3/4")
    args = build_parser("batch").parse_args(shlex.split(line)[1:])
    assert (args.shard.index, args.shard.n) == (3, 4)
