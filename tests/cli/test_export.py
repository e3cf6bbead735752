"""`sentiment export` in a project: a revision, its card, and an upload to a stand-in of the Hugging Face Hub."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.hub_server import HubServer, serving
from tests.project import Project
from tests.s3_server import free_port

NAME = "shop/sentiment"


@contextmanager
def running_upload_hub(uploaded: dict[str, bytes], refuses: bool) -> Iterator[HubServer]:
    """Take what huggingface_hub uploads until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if refuses:
                self._answer(401, {"error": "Invalid token"})
            elif self.path == "/api/repos/create":
                assert self.headers["Authorization"] == "Bearer hf_secret"
                self._answer(200, {"url": f"{self.url()}/{NAME}"})
            elif self.path == "/api/validate-yaml":
                self._answer(200, {"errors": [], "warnings": []})
            elif self.path == f"/api/models/{NAME}/preupload/main":
                files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
                self._answer(200, {"files": [{**one, "shouldIgnore": False, "oid": None} for one in files]})
            elif self.path == f"/api/models/{NAME}/commit/main":
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        uploaded[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                commit = {"commitUrl": f"{self.url()}/{NAME}/commit/1", "commitOid": "1" * 40}
                self._answer(200, {**commit, "hookOutput": ""})
            else:
                self._answer(404, {"error": self.path})

        def do_GET(self) -> None:
            self._answer(404, {"error": self.path})

        def _answer(self, status: int, content: dict[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def url(self) -> str:
            return f"http://{self.headers['Host']}"

        def log_message(self, *arguments: object) -> None:
            pass

    with serving(Handler) as hub:
        yield hub


def export(project: Project, *arguments: str, check: bool = True, environment: dict[str, str] | None = None) -> str:
    """Run the command; return standard error."""
    return project.run("python", "-m", "sentiment", "export", *arguments, check=check, **(environment or {})).stderr


@pytest.mark.slow
def test_a_revision_is_exported_and_uploaded_with_its_card(completed_project: Project, tmp_path: Path) -> None:
    uploaded: dict[str, bytes] = {}
    with running_upload_hub(uploaded, refuses=False) as hub:
        environment = hub.environment(tmp_path) | {"HF_TOKEN": "hf_secret"}
        stderr = export(
            completed_project, "out", "--to", "onnx", "--rev", "HEAD", "--push", NAME, environment=environment
        )
    assert "greatest difference to float32 on" in stderr
    assert f"/{NAME}/commit/1" in stderr.splitlines()[-1]
    written = {path.name: path.read_bytes() for path in (completed_project.root / "out").iterdir()}
    assert set(uploaded) - {".gitattributes"} == set(written)
    assert all(uploaded[name] == content for name, content in written.items())
    card = written["README.md"].decode()
    assert "# Sentiment of product reviews, for onnx" in card
    assert "## Sentiment of product reviews\n" in card, "the classifier's own card"


@pytest.mark.slow
def test_what_goes_wrong_is_one_line(completed_project: Project, tmp_path: Path) -> None:
    (completed_project.root / "there").mkdir()
    assert "error: there: is there already" in export(completed_project, "there", "--to", "onnx", check=False)
    stderr = export(completed_project, "new", "--to", "onnx", "--rev", "nowhere", check=False)
    assert "nowhere: no such commit" in stderr.splitlines()[-1]
    with running_upload_hub({}, refuses=True) as hub:
        environment = hub.environment(tmp_path) | {"HF_TOKEN": "wrong"}
        arguments = ("vectors", "--to", "sentence-transformers", "--push", NAME)
        stderr = export(completed_project, *arguments, check=False, environment=environment)
    assert "`hf auth login`" in stderr.splitlines()[-1]
    assert (completed_project.root / "vectors/modules.json").is_file()
    nowhere = {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}", "HF_TOKEN": "wrong", "HF_HUB_OFFLINE": "0"}
    code = f"run_main(lambda: push(Path('vectors'), {NAME!r}))"
    imports = "from pathlib import Path; from sentiment.cli.export import push"
    script = f"{imports}; from sentiment.common.command import run_main; {code}"
    done = completed_project.run("python", "-c", script, check=False, **nowhere)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith(f"error: --push {NAME}: ")
