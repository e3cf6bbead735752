"""The tests' own parameters name the keys of params.yaml, and no change of a checkout reaches a test's project."""

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from tests.project import DEFAULTS, ROOT, Project, code_files


def keys(path: Path) -> dict[str, list[str]]:
    return {section: sorted(values) for section, values in yaml.safe_load(path.read_text(encoding="utf-8")).items()}


def test_the_default_params_name_every_key_of_params_yaml() -> None:
    assert keys(DEFAULTS / "params.yaml") == keys(ROOT / "params.yaml")


def test_no_file_that_a_user_changes_is_copied_to_a_tests_project() -> None:
    names = set(code_files())
    assert names.isdisjoint({"params.yaml", "dvc.lock", ".dvc/config"})
    assert [name for name in names if name.startswith(("data/", "metrics/"))] == ["data/raw/sample.csv"]


@pytest.mark.slow
def test_the_tests_pass_in_a_checkout_with_own_data_columns_and_a_trained_classifier(
    completed_project: Project, tmp_path: Path
) -> None:
    """Two tests, one of which runs stages, in a clone of a project that was used and committed."""
    used = completed_project
    sample = (used.root / "data/raw/sample.csv").read_text(encoding="utf-8")
    (used.root / "data/raw/mine.csv").write_text(sample.replace("Review Text", "body", 1), encoding="utf-8")
    used.run("dvc", "add", "data/raw/mine.csv")
    used.set_params(prepare={"source": "data/raw/mine.csv", "text_columns": ["body"]}, train={"threshold": 0.6})
    used.run("dvc", "remote", "modify", "storage", "url", "s3://our-bucket/store")
    used.commit("Our own reviews")
    clone = used.clone(tmp_path / "clone")
    shutil.copytree(used.root / "models/classifier", clone.root / "models/classifier")
    tests = [
        "tests/cli/test_init.py::test_the_stages_split_by_the_column_that_it_wrote",
        "tests/test_defaults.py::test_no_file_that_a_user_changes_is_copied_to_a_tests_project",
    ]
    pytest_command = ["python", "-m", "pytest", "-p", "no:cacheprovider", *tests]
    done = clone.run(*pytest_command, PYTEST_XDIST_WORKER="", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_list_set_by_an_experiment_leaves_params_yaml_readable_with_its_comments(tmp_path: Path) -> None:
    """DVC ended in "YAML file structure is corrupted" where a list in brackets had a comment beside it."""
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    committed = path.read_text(encoding="utf-8")
    apply_overrides(path, ["split.val=0.1"])
    assert path.read_text(encoding="utf-8") == committed  # it has the form in which DVC writes it
    values = yaml.safe_load(committed)
    lists = {f"{section}.{key}" for section, keys in values.items() for key in keys if isinstance(keys[key], list)}
    assert len(lists) == 9
    for new in ("[]", "[a,'b c']", "[]", "[1]"):
        for key in sorted(lists):
            apply_overrides(path, [f"{key}={new}"])
            section, name = key.split(".")
            values[section][name] = yaml.safe_load(new)
            assert yaml.safe_load(path.read_text(encoding="utf-8")) == values
    assert comments(path.read_text(encoding="utf-8")) == comments(committed)


@pytest.mark.parametrize("name", ["Note (1-5)", "Größe é", "a #b", "it's", "=1", "Review Text"])
def test_a_name_in_quotes_is_set_by_an_experiment(tmp_path: Path, name: str) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    apply_overrides(path, [f'prepare.rating_column="{name}"', f'prepare.text_columns=["{name}"]'])
    prepare = yaml.safe_load(path.read_text(encoding="utf-8"))["prepare"]
    assert prepare["rating_column"] == name
    assert prepare["text_columns"] == [name]


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]
