"""Who may call: the loopback address, the key, --no-auth."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT
from tests.serving.conftest import Server, StartServer

KEY = "a-key-of-27-characters-here"
BODY = {"inputs": "fine"}


def failed_start(classifier: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Start a server that must refuse; return its one line."""
    import os

    command = [sys.executable, "-m", "sentiment", "serve", "--classifier", str(classifier), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_an_address_that_others_reach_needs_a_key_or_no_auth(classifier: Path) -> None:
    message = failed_start(classifier, "--host", "0.0.0.0", "--port", "0")
    assert "SENTIMENT_API_KEY" in message
    assert "--no-auth" in message


@pytest.mark.parametrize("key", ["", "two words", "schlüssel"])
def test_an_unusable_key_is_refused_at_the_start(classifier: Path, key: str) -> None:
    assert "printable ASCII" in failed_start(classifier, env={"SENTIMENT_API_KEY": key})


def test_an_address_in_use_and_a_missing_classifier_are_one_line(
    classifier: Path, server: Server, tmp_path: Path
) -> None:
    assert f"127.0.0.1:{server.port}" in failed_start(classifier, "--port", str(server.port))
    assert "no classifier" in failed_start(tmp_path / "nothing")


def test_no_auth_on_every_address_asks_for_nothing(start_server: StartServer) -> None:
    with start_server("--host", "0.0.0.0", "--no-auth").client() as client:
        assert client.post("/predict", json=BODY).status_code == 200


def test_a_key_is_asked_for_on_every_path_but_the_health_checks(start_server: StartServer) -> None:
    server = start_server("--host", "0.0.0.0", SENTIMENT_API_KEY=KEY)
    with server.client() as client:
        assert client.post("/predict", json=BODY).status_code == 200
        assert client.get("/info").status_code == 200
        client.headers.pop("authorization")
        for path in ("/health", "/ping", "/", "/docs", "/assets/page.js", "/openapi.json"):
            assert client.get(path).status_code == 200
        for path in ("/predict", "/", "/invocations", "/explain", "/rows?name=a.csv"):
            refused = client.post(path, json=BODY)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
            assert refused.json() == {"error": "expected 'Authorization: Bearer KEY'", "error_type": "Unauthorized"}
        assert client.get("/info").status_code == 401
        assert client.get("/metrics").status_code == 401
        wrong = (
            f"Bearer {KEY[:-1]}x",
            f"Bearer {KEY}x",
            f"Bearer {KEY[:-1]}",
            f"Basic {KEY}",
            KEY,
            "Bearer",
        )
        for value in wrong:
            assert client.post("/predict", json=BODY, headers={"authorization": value}).status_code == 401
    assert 401 in [line["status"] for line in server.access()]
    assert KEY not in server.log()
    document = server.client().get("/openapi.json").json()
    assert document["paths"]["/predict"]["post"]["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/health"]["get"]
