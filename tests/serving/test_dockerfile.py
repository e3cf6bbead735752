"""The Dockerfile: lint, what it copies, its environment as a server's. No test builds the image, which needs Docker."""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

from tests.project import ROOT
from tests.serving.conftest import StartServer

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FINAL = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([str(hadolint), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_it_copies_is_let_through_by_dockerignore_and_reviews_are_not() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in sources.split():
            assert source in allowed
    assert not any(fnmatch.fnmatch("data/raw/reviews.csv", f"{pattern}*") for pattern in allowed)


def test_people_and_sagemaker_start_the_same_server_which_is_not_root() -> None:
    assert re.search(r"^USER [1-9]\d*$", FINAL, re.MULTILINE)
    assert 'ENTRYPOINT ["sentiment"]' in FINAL  # SageMaker appends the word serve
    assert 'CMD ["serve"]' in FINAL


def test_its_environment_starts_a_server_on_every_address_that_asks_for_a_key(
    start_server: StartServer, classifier: Path
) -> None:
    env = dict(re.findall(r"(SENTIMENT_\w+)=(\S+)", FINAL))
    assert set(env) == {"SENTIMENT_CLASSIFIER", "SENTIMENT_HOST", "SENTIMENT_PORT"}
    assert env["SENTIMENT_PORT"] == "8080"  # SageMaker's
    env = {**env, "SENTIMENT_CLASSIFIER": str(classifier), "SENTIMENT_API_KEY": "a-key"}
    server = start_server(**env)  # its --port 0 is the one thing that differs
    assert "0.0.0.0" in server.log()
    with server.client() as client:
        assert client.get("/ping").status_code == 200
        assert client.post("/invocations", json={"inputs": "fine"}).status_code == 200
        assert client.post("/invocations", json={"inputs": "fine"}, headers={"authorization": ""}).status_code == 401
