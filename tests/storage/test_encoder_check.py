"""What `make doctor` says of the encoder that `finetune.encoder` names."""

import json
from pathlib import Path

import pytest
import yaml

from storage.machine_checks import MachineError, encoder
from tests.hub_server import COMMIT, MODEL
from tests.project import BUNDLED, DEFAULTS


def params_of(encoder_folder: Path, folder: Path) -> Path:
    """Write params.yaml with this encoder."""
    sections = yaml.safe_load((DEFAULTS / "params.yaml").read_text())
    sections["finetune"]["encoder"] = str(encoder_folder)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


def test_a_folder_with_weights_is_ok(tmp_path: Path) -> None:
    assert encoder(params_of(BUNDLED, tmp_path)) == ("ok", str(BUNDLED))


def test_a_pointer_whose_encoder_was_not_downloaded_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "pointer").mkdir()
    (tmp_path / "pointer" / "hub.json").write_text(json.dumps({"id": MODEL, "commit": COMMIT}))
    status, text = encoder(params_of(tmp_path / "pointer", tmp_path))
    assert status == "note"
    assert text.endswith(f"{MODEL} at {COMMIT} is downloaded when finetune runs")


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"none: no such folder; .* or set finetune\.encoder to another"):
        encoder(params_of(tmp_path / "none", tmp_path))
