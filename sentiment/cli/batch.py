"""Label many files: a folder, an s3:// prefix or a glob; write one Parquet file per 100,000 rows.

    sentiment batch reviews/ --output labels/
    sentiment batch "s3://bucket/reviews/2025-*.parquet" --output s3://bucket/labels
    sentiment batch s3://bucket/reviews --output s3://bucket/labels --engine ray --address ray://head:10001
    sentiment batch reviews/ --output labels/ --rev sentiment@production
    sentiment batch reviews/ --output labels/ --shard 3/16
    sentiment batch reviews/ --output labels/ --dry-run

Inputs are .parquet, .csv, .tsv and .jsonl files (all but Parquet also with .gz) below the folder; names that start with
_ or . are left out. A large file is cut into units. The rows of a unit are those of `sentiment predict`, in
OUTPUT/NAME.00000.parquet, NAME.00001.parquet and so on. Each file appears when it is complete.

Run the same command again to resume: what is missing is labeled, and what another classifier or another input made. A
unit that cannot be read is named with its reason in OUTPUT/_errors.jsonl, the others go on, and the exit status is 1.
OUTPUT/_manifest.json lists every unit with its counts.

Details, clusters and costs: docs/scale.md.
"""

import argparse
import logging
import re
from functools import partial
from pathlib import Path

from sentiment.batch.units import MAX_ROWS, Inputs, Shard
from sentiment.cli.arguments import add_classifier_arguments, positive, probability
from sentiment.common.errors import ParamsError
from sentiment.experiments.revisions import classifier_folder
from sentiment.inference.formats import plural

log = logging.getLogger(__name__)


def shard(text: str) -> Shard:
    """Read `i/n`, with i from 0 to n - 1."""
    index, _, n = text.partition("/")
    if not (index.isdecimal() and n.isdecimal() and int(index) < int(n)):
        raise argparse.ArgumentTypeError(f"'{text}' is not i/n with i from 0 to n - 1, such as 0/3")
    return Shard(int(index), int(n))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `sentiment batch`."""
    parser.add_argument("input", metavar="INPUT", help="a folder, s3://bucket/prefix, a glob in quotes, or one file")
    parser.add_argument("--output", required=True, help="a folder or s3://bucket/prefix, not below the inputs")
    parser.add_argument(
        "--engine", choices=["local", "ray"], default="local", help="one process here, or tasks of a Ray cluster"
    )
    parser.add_argument("--address", help="of the Ray cluster (default: RAY_ADDRESS, else a Ray on this machine)")
    parser.add_argument("--workers", type=positive, help="most units at a time on Ray (default: as many as have room)")
    parser.add_argument("--threads", type=positive, help="CPUs of this process (default: all), or of a Ray task (1)")
    parser.add_argument("--shard", type=shard, default=Shard(), metavar="I/N", help="only every N-th unit, for N runs")
    parser.add_argument("--dry-run", action="store_true", help="write nothing; count what is missing")
    parser.add_argument(
        "--unit-rows", type=positive, default=MAX_ROWS, help="most rows of a unit (default: %(default)s)"
    )
    parser.add_argument("--keep-columns", action="store_true", help="write the input's columns too")
    parser.add_argument(
        "--text-column", action="append", metavar="NAME", help="a column to read instead of those in training (may be "
        "given several times; the last one is the body)",
    )  # fmt: skip
    parser.add_argument("--threshold", type=probability, help="positive from here on (default: the classifier's)")
    add_classifier_arguments(parser)


def check_paths(inputs: Inputs, outputs: str) -> None:
    """Raise ParamsError where outputs would be below the inputs, or the output is a file."""
    source, target = (
        path if path.startswith("s3://") else str(Path(path).resolve()) for path in (inputs.folder, outputs)
    )
    # a pattern may leave outputs out: `Planner` looks at their names
    if inputs.pattern is None and f"{target}/".startswith(f"{source.rstrip('/')}/"):
        raise ParamsError(f"--output {outputs}: is below the inputs, so that it would be read by the next run")
    if not outputs.startswith("s3://") and Path(outputs).exists() and not Path(outputs).is_dir():
        raise ParamsError(f"--output {outputs}: is a file; expected a folder or s3://bucket/prefix")


def main(args: argparse.Namespace) -> int:
    """Label the inputs with the classifier of a revision; 1 where a unit failed."""
    with classifier_folder(args.rev, args.classifier) as classifier:
        return label(args, classifier)


def label(args: argparse.Namespace, classifier: Path) -> int:
    """Label the inputs, and log how many units and rows got which outcome; 1 where a unit failed."""
    from sentiment.batch.label import Labeler, Settings
    from sentiment.batch.run import Planner, here, on_ray, run, write_manifest
    from sentiment.batch.storage import storage_for
    from sentiment.ray_tasks import Work, limit_threads

    uses_ray = args.engine == "ray"
    if (args.workers or args.address) and not uses_ray:
        raise ParamsError(
            "--workers and --address are for --engine ray; without it one process labels, by --threads CPUs"
        )
    if not args.input or not args.output:
        raise ParamsError(
            "an empty name: expected INPUT, and OUTPUT of --output, to name a folder or s3://bucket/prefix"
        )
    # absolute on Ray: the workers are in another folder
    source, target = (
        str(Path(path).absolute()) if uses_ray and not path.startswith("s3://") else path
        for path in (args.input, args.output)
    )
    for path in (source, target):
        if path.startswith("s3:") and not re.match("s3://[^/]", path):
            raise ParamsError(f"{path}: names no bucket; expected s3://bucket/prefix")
    inputs, outputs = Inputs.parse(source), target.rstrip("/") or "/"
    check_paths(inputs, outputs)
    settings = Settings(
        inputs.folder,
        outputs,
        tuple(args.text_column or ()),
        args.threshold,
        args.keep_columns,
        args.device,
        args.unit_rows,
    ).of_classifier(classifier)
    if args.threads and not uses_ray:
        limit_threads(args.threads)
    storage = storage_for(outputs)
    planner = Planner(storage_for(inputs.folder), storage, settings, args.shard, changes_outputs=not args.dry_run)
    if args.dry_run:
        plan = planner.plan(inputs)
        pending, outcomes = plan.pending(), plan.outcomes()
        size = sum(plan.units[unit.output].size for unit in pending)
        line = f"{plural(len(pending), 'unit')} to label ({size:,} bytes), {outcomes['kept']:,} there already"
        log.info("batch: %s, %s that cannot be read", line, f"{outcomes['failed']:,}")
        return 0
    with storage.writable(outputs) as marker:
        plan = planner.plan(inputs)
        work = Work(partial(Labeler, settings, marker), classifier, args.device, args.threads or 1)
        run(plan, work, partial(on_ray, address=args.address, max_tasks=args.workers) if uses_ray else here)
        write_manifest(plan, storage, settings, args.shard)
    outcomes, counts = plan.outcomes(), plan.counts()
    log.info("batch: %s labeled, %s there before", plural(outcomes["written"], "unit"), f"{outcomes['kept']:,}")
    line = f"{plural(counts.rows, 'row')}: {counts.positive:,} positive, {counts.negative:,} negative"
    if counts.unsure:
        line += f", {counts.unsure:,} unsure"
    log.info("batch: %s, %s without text, %s broken", line, f"{counts.without_text:,}", f"{counts.broken:,}")
    if n_failed := outcomes["failed"]:
        log.error("error: %s failed; see %s/_errors%s.jsonl", plural(n_failed, "unit"), outputs, args.shard.suffix)
        return 1
    return 0
