"""What CI calls: each script says what is missing, and the workflows pin what they run."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.project import ROOT, Project


@pytest.mark.slow
def test_data_that_dvc_tracks_comes_from_the_remote(project: Project, tmp_path: Path) -> None:
    (project.root / "data/raw/sample.csv").rename(project.root / "data/raw/mine.csv")
    project.run("dvc", "add", "data/raw/mine.csv")
    project.run("dvc", "remote", "add", "--local", "here", str(tmp_path / "remote"))
    project.run("dvc", "push", "-q", "-r", "here")
    project.set_params(prepare={"source": "data/raw/mine.csv"})
    project.commit("Our own reviews")
    clone = project.clone(tmp_path / "clone")
    clone.run("dvc", "remote", "add", "--local", "-d", "here", str(tmp_path / "remote"))
    clone.run(".ci/data")
    assert (clone.root / "data/raw/mine.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["data/raw/months/", "data/raw/months/1.csv"])
def test_data_in_a_folder_that_dvc_tracks_comes_from_the_remote(project: Project, tmp_path: Path, source: str) -> None:
    (project.root / "data/raw/months").mkdir()
    (project.root / "data/raw/sample.csv").rename(project.root / "data/raw/months/1.csv")
    project.run("dvc", "add", "data/raw/months")
    project.run("dvc", "remote", "add", "--local", "here", str(tmp_path / "remote"))
    project.run("dvc", "push", "-q", "-r", "here")
    project.set_params(prepare={"source": source})
    project.commit("Our own reviews")
    clone = project.clone(tmp_path / "clone")
    clone.run("dvc", "remote", "add", "--local", "-d", "here", str(tmp_path / "remote"))
    clone.run(".ci/data")
    assert (clone.root / "data/raw/months/1.csv").is_file()


def test_a_folder_in_git_is_there(project: Project) -> None:
    project.set_params(prepare={"source": "data/raw"})
    project.run(".ci/data")


@pytest.mark.slow
def test_unavailable_data_is_named(project: Project, tmp_path: Path) -> None:
    project.set_params(prepare={"source": "data/raw/mine.csv"})
    project.commit("A source that only one machine has")
    missing = project.run(".ci/data", check=False)
    assert missing.returncode == 1
    assert "data/raw/mine.csv of commit" in missing.stderr
    assert "neither in git nor tracked by DVC" in missing.stderr
    (project.root / "data/raw/mine.csv").write_text("Title,Review Text,Rating\n")
    project.run("dvc", "add", "data/raw/mine.csv")
    project.commit("Track it")
    clone = project.clone(tmp_path / "clone")
    clone.run("dvc", "remote", "add", "--local", "-d", "here", str(tmp_path / "empty"))
    not_pushed = clone.run(".ci/data", check=False)
    assert not_pushed.returncode == 1
    assert "could not be pulled; run dvc push" in not_pushed.stderr


@pytest.mark.parametrize("script", ["data", "image", "run", "summary", "with-role"])
def test_scripts_are_executable(script: str) -> None:
    assert (ROOT / ".ci" / script).stat().st_mode & 0o100


def test_summary_names_what_is_missing_and_comes_back(completed_project: Project) -> None:
    """The commit below has a source that no one can get."""
    completed_project.set_params(prepare={"source": "data/raw/mine.csv"})
    completed_project.commit("A source that only one machine has")
    completed_project.run("git", "checkout", "-q", "HEAD~1", "--", "params.yaml")
    completed_project.commit("Back to the sample")
    failed = completed_project.run(".ci/summary", "HEAD~1", "HEAD", check=False)
    assert failed.returncode == 1
    assert "data/raw/mine.csv of commit" in failed.stderr
    assert completed_project.run("git", "rev-parse", "--abbrev-ref", "HEAD").stdout.strip() == "main"
    assert completed_project.run("git", "status", "--porcelain").stdout == ""


def test_summary_refuses_what_it_would_lose(completed_project: Project) -> None:
    completed_project.set_params(train={"epochs": 2})
    before = (completed_project.root / "params.yaml").read_text()
    refused = completed_project.run(".ci/summary", "HEAD", "HEAD", check=False)
    assert (refused.returncode, "uncommitted changes would be lost" in refused.stderr) == (1, True)
    unknown = completed_project.run(".ci/summary", "none", "HEAD", check=False)
    assert (unknown.returncode, "none is not a commit of this clone" in unknown.stderr) == (1, True)
    assert (completed_project.root / "params.yaml").read_text() == before


@pytest.mark.slow
def test_summary_shows_the_metrics_of_both_commits_and_their_comparison(completed_project: Project) -> None:
    completed_project.set_params(train={"threshold": 0.9})
    completed_project.commit("A threshold that few reviews reach")
    completed_project.set_params(train={"threshold": 0.1})
    completed_project.commit("A threshold that most reviews reach")
    summary = completed_project.run(".ci/summary", "HEAD~2", "HEAD~1", "HEAD", PLOTS="plots").stdout
    first, second = summary.split("## ")[1:]
    for part, subject, threshold in ((first, "few", "0.9"), (second, "most", "0.1")):
        assert f": A threshold that {subject} reviews reach\n" in part
        assert re.search(rf"\| params.yaml \| train.threshold \| 0.5 +\| {threshold} +\|", part)
        assert re.search(r"\| metrics/val.json \| accuracy +\|", part)
        assert "A = ci-base, B = ci-proposed" in part
    pictures = re.findall(r"!\[\w+\]\((plots/\w+\.svg)\)", second)
    assert pictures == ["plots/roc.svg", "plots/precision_recall.svg", "plots/calibration.svg"]
    for picture in pictures:
        content = (completed_project.root / picture).read_text(encoding="utf-8")
        assert all(f">{name}<" in content for name in ("ci-base", "ci-proposed", "ci-proposed-2"))
        (completed_project.root / picture).unlink()
    assert completed_project.run("git", "status", "--porcelain").stdout == ""


def test_every_action_is_pinned_by_a_commit_and_names_its_version() -> None:
    workflows = [path.read_text() for path in (ROOT / ".github/workflows").glob("*.yml")]
    uses = re.findall(r"uses: (.+)", "\n".join(workflows))
    assert uses
    assert [action for action in uses if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v[\d.]+", action)] == []


def test_results_are_verified_on_each_python_and_system() -> None:
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["verify"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert matrix["os"] == ["ubuntu-latest", "ubuntu-24.04-arm", "macos-latest"]


def test_no_job_has_a_static_key_and_those_that_read_data_may_ask_for_a_token() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    assert "secrets." not in text
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "env" not in job  # credentials belong to the step that needs them
        reads_data = any(".ci/with-role" in step.get("run", "") for step in job["steps"])
        assert job.get("permissions", {}) == ({"contents": "read", "id-token": "write"} if reads_data else {})


def test_the_image_is_built_started_and_asked_on_every_push() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert {"push", "pull_request"} <= set(workflow[True])  # YAML 1.1 reads the key `on` so
    [job] = [
        job for job in workflow["jobs"].values() if any(".ci/image" in step.get("run", "") for step in job["steps"])
    ]
    assert "if" not in job
    script = (ROOT / ".ci/image").read_text()
    steps = [script.index(words) for words in ("docker build ", "docker run ", "/health", "/invocations")]
    assert steps == sorted(steps)


class TokenService(BaseHTTPRequestHandler):
    """Gives a job its identity token, as GitHub does."""

    def do_GET(self) -> None:
        is_right = self.headers["Authorization"] == "bearer of the job" and "audience=sts.amazonaws.com" in self.path
        self.send_response_only(200 if is_right else 403)
        self.end_headers()
        self.wfile.write(b'{"value": "a token"}')


def test_a_command_with_a_role_gets_a_token_and_cannot_ask_for_another(tmp_path: Path) -> None:
    show = 'echo "$AWS_ROLE_ARN, $(cat "$AWS_WEB_IDENTITY_TOKEN_FILE"), ${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-none}"'
    with ThreadingHTTPServer(("127.0.0.1", 0), TokenService) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        done = Project(ROOT).run(
            ".ci/with-role",
            "bash",
            "-c",
            show,
            AWS_ROLE_ARN="a role",
            ACTIONS_ID_TOKEN_REQUEST_URL=f"http://127.0.0.1:{service.server_port}/?version=1",
            ACTIONS_ID_TOKEN_REQUEST_TOKEN="of the job",
            TMPDIR=str(tmp_path),
        )
        service.shutdown()
    assert done.stdout == "a role, a token, none\n"
    assert list(tmp_path.iterdir()) == []


def test_a_command_without_a_role_runs_without_one() -> None:
    done = Project(ROOT).run(".ci/with-role", "bash", "-c", 'echo "${AWS_ROLE_ARN-unset}"', AWS_ROLE_ARN="")
    assert done.stdout == "unset\n"
