"""The server's own OpenAPI document: what it lists, and requests made from it.

The variable SCHEMATHESIS_REQUESTS says how many; 500, the default, take half a minute.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.conftest import Server

ERRORS = {"413", "415", "422", "424", "429", "503"}
N_REQUESTS = int(os.environ.get("SCHEMATHESIS_REQUESTS", "500"))
POSTS = ("/predict", "/", "/invocations", "/explain")


def test_every_error_of_a_path_is_described_beside_it(server: Server) -> None:
    with server.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    for path in POSTS:
        assert set(paths[path]["post"]["responses"]) >= ERRORS | {"200"}
    assert {"/health", "/info", "/metrics", "/ping"} <= set(paths)


@pytest.mark.slow
def test_requests_made_from_the_document_get_no_5xx_and_no_undocumented_answer(server: Server, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file"]
    command += [str(Path(__file__).with_name("schemathesis.toml")), "run", f"{server.url}/openapi.json"]
    # all checks, which is the default: naming them would overrule the configuration
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(N_REQUESTS // 5)]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout[-8_000:]
    n_cases = re.search(r"([\d,]+) generated", done.stdout)
    assert n_cases is not None
    assert int(n_cases[1].replace(",", "")) >= N_REQUESTS
    with server.client() as client:
        assert client.get("/health").status_code == 200
    assert "Traceback" not in server.log()
