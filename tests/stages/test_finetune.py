"""An encoder's folder, or a pointer to one on the Hub, passed on unchanged."""

import json
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.hub_server import COMMIT, MODEL, HubServer, running_hub
from tests.project import BUNDLED, ROOT, Project
from tests.s3_server import free_port

WEIGHTS_SHA256 = sha256((BUNDLED / "model.safetensors").read_bytes()).hexdigest()
FROM_HUB = "models/encoders/from-hub"


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with running_hub(BUNDLED) as server:
        yield server


def point_at_hub(project: Project, **pointer: str) -> None:
    """Make an encoder's folder with a pointer to the stand-in's model, and select it."""
    folder = project.root / FROM_HUB
    folder.mkdir()
    (folder / "hub.json").write_text(json.dumps({"id": MODEL, "commit": COMMIT, **pointer}))
    project.set_params(finetune={"encoder": FROM_HUB})


def finetune(project: Project, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    arguments = ["--split", "data/split", "--output", "models/encoder", "--log", "metrics/finetune"]
    return project.run("python", "-m", "stages.finetune", *arguments, check=check, **env)


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of an encoder without its card, which is not passed on."""
    paths = [path for path in folder.rglob("*") if path.name != "README.md"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_folder_is_passed_on_byte_for_byte(project: Project) -> None:
    finetune(project)
    assert files(project.root / "models/encoder") == files(BUNDLED)


def test_the_card_is_not_passed_on_and_changes_no_stage(completed_project: Project) -> None:
    assert not (completed_project.root / "models/encoder/README.md").exists()
    with (completed_project.root / "models/encoders/reviews-albert/README.md").open("a") as card:
        card.write("Another result.\n")
    assert "up to date" in completed_project.run("dvc", "status").stdout


def test_what_was_there_before_is_replaced(project: Project) -> None:
    (project.root / "models/encoder").mkdir()
    (project.root / "models/encoder/old.safetensors").write_bytes(b"old")
    finetune(project)
    assert files(project.root / "models/encoder") == files(BUNDLED)


def test_a_pointer_brings_the_encoder_from_the_hub_and_once_only(
    project: Project, hub: HubServer, tmp_path: Path
) -> None:
    point_at_hub(project, sha256=WEIGHTS_SHA256)
    cache = hub.environment(tmp_path / "cache")
    hub.downloads.clear()
    finetune(project, check=True, **cache)
    expected = files(BUNDLED)
    del expected["trained_on.npy"]  # not what an encoder computes with
    assert files(project.root / "models/encoder") == expected
    assert sorted(hub.downloads) == sorted(expected)
    # from here on its cache is enough
    for without_hub in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}):
        finetune(project, check=True, **{**cache, **without_hub})
        assert files(project.root / "models/encoder") == expected
    assert len(hub.downloads) == len(expected)


@pytest.mark.slow
def test_the_encoder_is_an_output_that_needs_no_hub_afterwards(
    project: Project, hub: HubServer, tmp_path: Path
) -> None:
    point_at_hub(project)
    project.run("dvc", "repro", "finetune", check=True, **hub.environment(tmp_path / "cache"))
    for path in (project.root / "models/encoder").iterdir():
        path.unlink()
    (project.root / "models/encoder").rmdir()
    project.run("dvc", "checkout", "models/encoder")  # as `dvc pull` does once it was pushed
    assert (project.root / "models/encoder/model.safetensors").read_bytes() == (
        BUNDLED / "model.safetensors"
    ).read_bytes()
    assert "up to date" in project.run("dvc", "status", "finetune").stdout


def test_other_weights_than_the_pointer_says_are_refused(project: Project, hub: HubServer, tmp_path: Path) -> None:
    point_at_hub(project, sha256="0" * 64)
    done = finetune(project, check=False, **hub.environment(tmp_path / "cache"))
    assert_one_line(done, FROM_HUB, f"has SHA-256 {WEIGHTS_SHA256}, expected 000000")
    assert not (project.root / "models/encoder").exists()


def test_an_unreachable_hub_is_one_line_and_at_once(project: Project, tmp_path: Path) -> None:
    point_at_hub(project)
    unreachable = HubServer(f"http://127.0.0.1:{free_port()}").environment(tmp_path / "cache")
    begun = time.monotonic()
    assert_one_line(finetune(project, check=False, **unreachable), FROM_HUB, MODEL, "could not be downloaded")
    assert time.monotonic() - begun < 20, "huggingface_hub alone asks again for 23 s"
    assert not (project.root / "models/encoder").exists()


def test_an_unknown_commit_and_no_network_are_one_line(project: Project, hub: HubServer, tmp_path: Path) -> None:
    point_at_hub(project)
    offline = {**hub.environment(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    assert_one_line(finetune(project, check=False, **offline), FROM_HUB, MODEL, "could not be downloaded")
    (project.root / FROM_HUB / "hub.json").write_text(json.dumps({"id": MODEL, "commit": "f" * 40}))
    done = finetune(project, check=False, **hub.environment(tmp_path / "cache"))
    assert_one_line(done, FROM_HUB, "ffffffffffff could not be downloaded")
    assert not (project.root / "models/encoder").exists()


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        ({"id": MODEL}, "hub.json: commit: Field required"),
        ({"id": MODEL, "commit": "main"}, "hub.json: commit: String should match pattern"),
        ({"id": MODEL, "commit": COMMIT, "sha": ""}, "hub.json: sha: Extra inputs are not permitted"),
        ({"id": "../../etc/passwd", "commit": COMMIT}, "hub.json: id: String should match pattern"),
    ],
)
def test_an_invalid_pointer_is_refused(project: Project, pointer: dict[str, str], message: str) -> None:
    point_at_hub(project)
    (project.root / FROM_HUB / "hub.json").write_text(json.dumps(pointer))
    assert_one_line(finetune(project, check=False), FROM_HUB, message)


def test_every_pointer_of_the_project_is_valid() -> None:
    from sentiment.finetuning.source import read_pointer

    pointers = {folder.name: read_pointer(folder) for folder in (ROOT / "models/encoders").iterdir()}
    assert pointers.pop("reviews-albert") is None
    assert len(pointers) >= 4
    for name, pointer in pointers.items():
        assert pointer is not None
        assert pointer.id.endswith(f"/{name}")
