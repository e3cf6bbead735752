"""Python code in an encoder's folder never runs, whatever is on standard input."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.project import ROOT


def test_an_encoder_with_its_own_code_is_refused_in_one_line(tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(ROOT / "models" / "encoders" / "reviews-albert", encoder)
    config = json.loads((encoder / "config.json").read_text())
    config |= {"model_type": "other", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (encoder / "config.json").write_text(json.dumps(config))
    (encoder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    program = """
import sys
from pathlib import Path
from sentiment.common.errors import EncoderError
from sentiment.encoder.frozen import FrozenEncoder
from sentiment.encoder.config import EncoderConfig
config = EncoderConfig(max_length=16, pooling="mean", precision="float32")
try:
    FrozenEncoder.load(Path(sys.argv[1]), config, "cpu")
except EncoderError as error:
    print(error)
print(repr(sys.stdin.readline()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(encoder)],
        input="y\n" * 5,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    message, first_line = done.stdout.splitlines()
    assert "could not be loaded" in message
    assert "\n" not in message
    assert first_line == "'y\\n'", "standard input was read by a library"
    assert not (tmp_path / "ran").exists()
