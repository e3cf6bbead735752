"""Look at reviews of your own, and write into params.yaml how the stages read them.

    sentiment init data/raw/reviews.csv                 look at the file; write the section prepare
    sentiment init exports/ --dry-run                   look only; a folder holds files with the same columns
    sentiment init exports/2024-*.csv                   several files with the same columns become a folder
    sentiment init reviews.csv --rating stars           which column has the ratings, where two may
    sentiment init reviews.csv --label verdict --positive keep --negative return --ignore unsure
    sentiment init reviews.csv --split-by product       a product in one split; by dates, later ones in test

Reads CSV with any delimiter and encoding, JSON lines and arrays, Parquet, Excel, fastText's labels, plain text in one
file per class, and each of them in .gz, or alone in .zip. A file from elsewhere is copied to data/raw; several files
are copied to a folder there, unless they are all files of a folder in the project. What cannot be decided is asked on
a terminal; elsewhere it is an error that names the option which decides it.
"""

import argparse
import filecmp
import json
import re
import shlex
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice, pairwise
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from tqdm import tqdm

from sentiment.common.command import printable
from sentiment.common.errors import EncoderError, InputError, ParamsError
from sentiment.common.files import atomic, atomic_folder
from sentiment.common.params import load_params, read_yaml
from sentiment.data.readers import FileFormat, InputColumns, parts_of, read_source, suffix
from sentiment.encoder.config import EncodeParams

if TYPE_CHECKING:
    from sentiment.data.profile import Profile
    from sentiment.data.proposal import Choices, Proposal
    from sentiment.data.readers import Source

RAW = Path("data/raw")
PARAMS = Path("params.yaml")
SECTIONS = ("prepare", "split", "finetune", "encode", "evaluate")  # of params.yaml, that this command reads or writes
MAX_COLUMNS = 30  # of the table
MAX_CHARACTERS = 100_000  # that tell the language
N_BATCHES = 4  # of texts that are read as `prepare` does
N_WARM = 16  # texts that are encoded before the time is taken
LENGTHS = (128, 256, 512)  # that encode.max_length is raised to
CUT_SHARE = 0.1  # of the texts, at most, may be longer
STAGE_SECONDS = 30  # of the other stages, and of starting them
NOT_ENGLISH = "; the default encoder knows English only (docs/experiments.md, Another encoder)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files, what a person knows of it, and --dry-run."""
    parser.add_argument(
        "sources", metavar="FILE", type=Path, nargs="+", help="of reviews, a folder, or several with the same columns"
    )
    parser.add_argument("--text", metavar="COLUMN", action="append", default=[], help="text; title first, body last")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--rating", metavar="COLUMN", help="the column of ratings: numbers, or such as '4 out of 5'")
    which.add_argument("--label", metavar="COLUMN", help="the column of labels: words, 0 and 1, true and false")
    for side, meaning in (("positive", "positive"), ("negative", "negative"), ("ignore", "neither, to be left out")):
        parser.add_argument(
            f"--{side}", metavar="VALUE", action="append", default=[], help=f"a label or rating that is {meaning}"
        )
    parser.add_argument(
        "--split-by", metavar="COLUMN", help="products, customers, dates, or train, val and test (default: the text)"
    )
    parser.add_argument("--time-format", help="of its dates, such as %%d/%%m/%%Y, where they may be two days")
    parser.add_argument("--encoding", help="of the text, such as windows-1252 (default: detected)")
    parser.add_argument("--delimiter", help="between fields (default: detected)")
    parser.add_argument("--sheet", help="of an Excel file (default: the first)")
    parser.add_argument("--params", type=Path, default=PARAMS, help="to write (default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")


def main(args: argparse.Namespace) -> None:
    """Print what is in the file and what follows from it; write the params.

    Raises:
        ParamsError: there is no params.yaml here, another file of this name in data/raw, or a name is given twice.
        InputError: the file cannot be read, or what is text or label cannot be decided.
    """
    from sentiment.data.profile import profile  # pandas, a second
    from sentiment.data.proposal import Choices
    from sentiment.data.sniffing import sniff

    check_sections(args.params)
    if "" in args.text:
        raise ParamsError("--text '': expected the name of a column")
    if args.time_format and not args.split_by:
        raise ParamsError("--time-format is of the dates of --split-by")
    choices = Choices(
        tuple(args.text), args.label, args.rating, tuple(args.positive), tuple(args.negative), tuple(args.ignore),
        args.split_by, args.time_format,
    )  # fmt: skip
    source = args.sources[0] if len(args.sources) == 1 else args.sources
    target, copies = place(source)
    check_options(args.encoding, args.delimiter)
    layout, notes = sniff(source, args.encoding, args.delimiter, args.sheet)
    with tqdm(desc="looking", unit=" rows", unit_scale=True, disable=None, leave=False) as bar:
        found = profile(source, layout, bar.update, args.split_by if args.time_format else None)
    proposal, decided = decide(found, choices)
    check_texts(source, layout, proposal.text_columns)
    texts = found.columns[proposal.text_columns[-1]].texts
    settings, encoder = load_params(args.params, "encode", EncodeParams), local_encoder(args.params)
    max_length = settings.max_length if encoder is None else fitting_length(settings.max_length, encoder, texts)
    longer = settings.model_copy(update={"max_length": max_length})
    shown = f"{describe(source, layout)}, {found.n_rows:,} rows\n\n{table_of(found, proposal)}"
    sys.stdout.writelines(f"{printable(line)}\n" for line in shown.split("\n"))
    sys.stdout.writelines(
        f"- {printable(note)}\n"
        for note in [*notes, *proposal.notes, *notes_on_texts(found, proposal, encoder, longer)]
    )
    if longer != settings:
        sys.stdout.write(f"- many texts are long: encode.max_length {max_length}\n")
    if source == args.sources:
        copied = "a copy of each file" if copies else "these files alone"
        sys.stdout.write(f"- prepare.source: the folder {target}, which has {copied}\n")
    if decided != choices:
        sys.stdout.write(f"- the same without questions: {command(args, decided)}\n")
    if args.dry_run:
        return
    copy_parts(target, copies)
    prepare = {"source": target.as_posix(), **layout.model_dump(), **proposal.params}
    changes = {"prepare": prepare, "split": proposal.split, "encode": {"max_length": max_length}}
    write_params(args.params, changes, proposal.slices)
    sys.stdout.write(
        f"\nWritten to {args.params}: prepare, split, encode.max_length and evaluate.slices. Next:\n\n"
        f"    dvc exp run     trains and evaluates a classifier on these reviews\n"
        f"    dvc add {shlex.quote(str(target))}     tracks the data, so that dvc push shares it; then commit\n"
    )


def check_options(encoding: str | None, delimiter: str | None) -> None:
    """Raise ParamsError where an option is none that the reader takes."""
    for name, value in (("encoding", encoding), ("delimiter", delimiter)):
        try:
            FileFormat.model_validate({} if value is None else {name: value})
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ParamsError(f"--{name} {value}: {reason[:1].lower()}{reason[1:]}") from None


def check_texts(source: "Source", layout: FileFormat, text_columns: list[str]) -> None:
    """Read the first texts as `prepare` does; raise InputError where it would stop at them."""
    columns = InputColumns(tuple(text_columns), with_ids=False)
    for name, batch in islice(read_source(source, columns, layout), N_BATCHES):
        if problems := batch.problems(name):
            raise InputError(f"{problems[0]}; the stages stop at such a row: repair or remove it")


def decide(found: "Profile", choices: "Choices") -> tuple["Proposal", "Choices"]:
    """Return the proposal, and the choices with what a person at a terminal was asked.

    Raises:
        UndecidedError: there is no terminal, no answer, or nothing to choose from.
    """
    from sentiment.data.proposal import UndecidedError, propose

    while True:
        try:
            return propose(found, choices), choices
        except UndecidedError as undecided:
            if len(undecided.values) < 2 or not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise
            sys.stderr.write(f"{printable(str(undecided))}\n")
            try:
                choices = replace(choices, **answer(undecided.choice, undecided.values))
            except EOFError:
                raise undecided from None


def answer(choice: str, values: dict[str, str]) -> dict[str, Any]:
    """Ask for a choice; return the fields of `Choices` that follow."""
    if choice == "text":
        return {"text": ask("Which column is the text? Of several, the title first", values, len(values))}
    if choice == "time_format":
        return {"time_format": ask("Which format do the dates have?", values, 1)[0]}
    if choice == "label":
        return {"label": ask("Which column is the label or rating?", values, 1)[0]}
    positive = ask("Which is positive?", values, len(values) - 1)
    others = {value: shown for value, shown in values.items() if value not in positive}
    negative = ask("Which is negative? What is neither is left out", others, len(others)) if len(others) > 1 else others
    return {
        "positive": tuple(positive), "negative": tuple(negative),
        "ignore": tuple(value for value in others if value not in negative),
    }  # fmt: skip


def ask(question: str, values: dict[str, str], most: int) -> tuple[str, ...]:
    """Return 1 to `most` of the values, which a person names by numbers; raises EOFError at the end of input."""
    names = list(values)
    for number, (name, shown) in enumerate(values.items(), 1):
        sys.stderr.write(printable(f"{number:>4}  {name!r}  {shown}") + "\n")
    while True:
        sys.stderr.write(f"{question} Number{'s' if most > 1 else ''}: ")
        sys.stderr.flush()
        if not (line := sys.stdin.readline()):
            sys.stderr.write("\n")
            raise EOFError
        words = line.replace(",", " ").split()
        chosen = [names[int(word) - 1] for word in words if word.isdecimal() and 1 <= int(word) <= len(names)]
        if len(chosen) == len(words) == len(set(chosen)) and 1 <= len(chosen) <= most:
            return tuple(chosen)
        expected = "a number" if most == 1 else f"up to {most} different numbers"
        sys.stderr.write(f"expected {expected} from 1 to {len(names)}\n")


def command(args: argparse.Namespace, choices: "Choices") -> str:
    """Return the command line that makes these choices."""
    others = ("encoding", "delimiter", "sheet", "params")
    options = {**asdict(choices), **{name: getattr(args, name) for name in others}}
    words = [
        f"--{name.replace('_', '-')}={value}"
        for name, values in options.items()
        for value in (values if isinstance(values, tuple) else [values])
        if value not in (None, PARAMS)
    ]
    return shlex.join(["sentiment", "init", *map(str, args.sources), *words, *(["--dry-run"] * args.dry_run)])


def check_sections(params: Path) -> None:
    """Raise ParamsError where there is no params.yaml, or one without a section that is read or written."""
    if not params.is_file():
        raise ParamsError(f"{params}: no such file; run from the root of the project")
    found = read_yaml(params.read_bytes(), str(params))
    for name in SECTIONS:
        if not isinstance(found, dict) or not isinstance(found.get(name), dict):
            raise ParamsError(f"{params}: section '{name}' is missing; to go back: git checkout {params}")


def describe(source: "Source", layout: FileFormat) -> str:
    """Return the name of a source and its format, as in "reviews.csv: csv with ';', no header"."""
    name, ending = (source, suffix(source.name)) if isinstance(source, Path) else (f"{len(source)} files", "")
    form = layout.format or ending.removeprefix(".") or "the format of each file"
    details = [
        f" with {layout.delimiter!r}" if layout.delimiter else "",
        "" if layout.quote == '"' else f", quotes: {layout.quote or 'none'}",
        f", escape: {layout.escape}" if layout.escape else "",
        "" if layout.header else ", no header: the columns are numbered",
    ]
    return f"{name}: {form}{''.join(details)}"


def table_of(found: "Profile", proposal: "Proposal") -> str:
    """Return the columns with their role, share of rows with a value, number of values, and examples."""
    roles = {proposal.label_column: "label", **dict.fromkeys(proposal.text_columns, "text")}
    roles |= dict.fromkeys(proposal.slice_columns, "slice")
    roles |= {
        str(proposal.split[key]): "split" for key in ("group_column", "time_column", "column") if proposal.split[key]
    }
    rows = [("column", "", "filled", "values", "examples")]
    for name, column in list(found.columns.items())[:MAX_COLUMNS]:
        n_values = f"{len(column.values):,}{'+' if column.has_many else ''}"
        rows.append((repr(name), roles.get(name, ""), f"{column.filled:.0%}", n_values, column.examples))
    widths = [max(len(row[index]) for row in rows) for index in range(4)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    ]
    if (n_more := len(found.columns) - MAX_COLUMNS) > 0:
        lines.append(f"... and {n_more} more columns")
    return "\n".join([*lines, ""])


def notes_on_texts(found: "Profile", proposal: "Proposal", encoder: Path | None, settings: EncodeParams) -> list[str]:
    """Return what there is to say of the language, of how many reviews there are, and of the time that they take."""
    import py3langid

    body = found.columns[proposal.text_columns[-1]]
    texts, n_texts = body.texts, round(body.filled * found.n_rows)
    language = py3langid.classify(" ".join(texts)[:MAX_CHARACTERS])[0]
    notes = [f"language: {language}" + ("" if language == "en" else NOT_ENGLISH)]
    if encoder is not None and texts:
        with suppress(EncoderError):  # another machine may have the device that params.yaml names
            minutes = (STAGE_SECONDS + n_texts / reviews_per_second(encoder, texts, settings)) / 60
            about = "a minute" if minutes < 1.5 else f"{minutes:,.0f} minutes"
            notes.append(f"dvc exp run will take about {about} here")
    return notes


def local_encoder(params: Path) -> Path | None:
    """Return the folder of the encoder in params.yaml; None where that is a pointer to the Hub."""
    folder = Path(str(read_yaml(params.read_bytes(), str(params))["finetune"].get("encoder")))
    return folder if (folder / "config.json").is_file() else None


def fitting_length(max_length: int, folder: Path, texts: list[str]) -> int:
    """Return `max_length`, or as much more of `LENGTHS` as the texts need and the encoder in a folder takes."""
    from sentiment.encoder.tokenizer import load_tokenizer

    n_positions = json.loads((folder / "config.json").read_bytes()).get("max_position_embeddings", max_length)
    allowed = [max_length, *(longer for longer in LENGTHS if max_length < longer <= n_positions)]
    lengths = [len(one.ids) for one in load_tokenizer(folder).encode_batch(texts)]
    enough = (one for one in allowed if sum(length > one for length in lengths) <= CUT_SHARE * len(lengths))
    return next(enough, allowed[-1])


def reviews_per_second(folder: Path, texts: list[str], settings: EncodeParams) -> float:
    """Measure how many texts this machine encodes in a second."""
    from sentiment.encoder.frozen import FrozenEncoder

    encoder = FrozenEncoder.load(folder, settings.encoder_config(), settings.device)
    encoder.encode(texts[:N_WARM])
    start = time.perf_counter()
    encoder.encode(texts)
    return len(texts) / (time.perf_counter() - start)


def place(source: "Source") -> tuple[Path, dict[Path, Path]]:
    """Return the path of a source relative to the project, and the copies that this takes, each with its original.

    What is elsewhere is copied to data/raw. Several files are copied to a folder there, unless they are all files of a
    folder in the project: DVC tracks a file or a folder, and no list of files.

    Raises:
        ParamsError: two files have the same name.
    """
    root, parts = Path.cwd().resolve(), parts_of(source)
    if not isinstance(source, Path):
        for one, other in pairwise(parts):
            if one.name == other.name:
                raise ParamsError(f"{one} and {other} have the same name; rename one")
        folder = parts[0].resolve().parent
        if root not in folder.parents or parts_of(folder) != sorted(part.resolve() for part in parts):
            common = commonprefix([part.name.partition(".")[0] for part in parts])  # noqa: RUF071 - of names
            target = RAW / (re.sub(r"[\W\d_]+$", "", common) or "reviews")
            return target, {target / part.name: part for part in parts}
        source = folder
    if source.resolve().is_relative_to(root):
        return source.resolve().relative_to(root), {}
    target = RAW / source.name
    return target, {target / part.relative_to(source): part for part in parts}


def copy_parts(target: Path, copies: dict[Path, Path]) -> None:
    """Copy the files of a source; raise ParamsError where `target` is there already and differs."""
    if copies and target.exists():
        if sorted(copies) != parts_of(target) or not all(filecmp.cmp(*pair, shallow=False) for pair in copies.items()):
            kind = "folder" if target.is_dir() else "file"
            raise ParamsError(f"{target}: is another {kind} already; rename it, or remove it")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if [*copies] == [target]:
        with atomic(target) as partial:
            shutil.copyfile(copies[target], partial)
    elif copies:
        with atomic_folder(target) as folder:
            for copy, part in copies.items():
                to = folder / copy.relative_to(target)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(part, to)


def write_params(path: Path, changes: dict[str, dict[str, object]], slices: list[str]) -> None:
    """Change keys of sections, and evaluate.slices, as `dvc exp run -S` does, which keeps comments."""
    from dvc.utils.serialize import modify_yaml

    with modify_yaml(str(path)) as sections:
        for name, values in changes.items():
            for key, value in values.items():
                if sections[name].get(key) != value:
                    sections[name][key] = value
        sections["evaluate"]["slices"] = slices
