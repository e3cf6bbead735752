"""The files of deploy/ for containers follow the schemas, and name what the image and the server have."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sentiment.cli.app import build_parser
from sentiment.cli.serve import ENV_PORT
from sentiment.serving.app import ANSWER_SECONDS
from tests.project import ROOT

COMPOSE, KUBERNETES = ROOT / "deploy/compose.yaml", ROOT / "deploy/kubernetes.yaml"


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = Path(sys.executable).with_name(program)
    return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def check_compose(path: Path) -> subprocess.CompletedProcess[str]:
    return run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", path)


def check_kubernetes(path: Path) -> subprocess.CompletedProcess[str]:
    return run("kubernetes-validate", "--strict", path)


def test_compose_follows_its_schema_and_a_wrong_key_would_not(tmp_path: Path) -> None:
    done = check_compose(COMPOSE)
    assert done.returncode == 0, done.stdout
    (tmp_path / "compose.yaml").write_text(COMPOSE.read_text().replace("read_only:", "readonly:"))
    assert check_compose(tmp_path / "compose.yaml").returncode != 0


def test_kubernetes_follows_its_schemas_and_a_wrong_key_would_not(tmp_path: Path) -> None:
    done = check_kubernetes(KUBERNETES)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "wrong.yaml").write_text(KUBERNETES.read_text().replace("readinessProbe:", "readyProbe:"))
    assert check_kubernetes(tmp_path / "wrong.yaml").returncode != 0


@pytest.mark.parametrize("file", [COMPOSE, KUBERNETES], ids=lambda path: path.stem)
def test_user_port_and_home_are_those_of_the_image(file: Path) -> None:
    dockerfile, text = (ROOT / "Dockerfile").read_text(), file.read_text()
    assert "USER 1000" in dockerfile
    assert "--uid 1000 --create-home" in dockerfile
    assert "EXPOSE 8080" in dockerfile
    assert "1000" in text
    assert ("- 127.0.0.1:8080:8080 " if file == COMPOSE else "containerPort: 8080}") in text
    threads = re.search(r'OMP_NUM_THREADS\W+(?:value\W+)?(\d+)"', text)
    cpus = re.search(r'limits: *(?:\{cpu|\s+cpus): "(\d+)"', text)
    assert threads
    assert cpus
    assert threads[1] == cpus[1]
    assert "/home/sentiment/.cache" in text


def test_a_service_does_not_name_the_port_of_its_pods() -> None:
    """Kubernetes sets SENTIMENT_PORT to the address of a service called sentiment, unless it gets no service links."""
    deployment, service = list(yaml.safe_load_all(KUBERNETES.read_text()))[:2]
    assert f"{service['metadata']['name'].upper()}_PORT" == ENV_PORT
    assert deployment["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_a_pod_has_time_to_drain() -> None:
    deployment = next(iter(yaml.safe_load_all(KUBERNETES.read_text())))
    pod = deployment["spec"]["template"]["spec"]
    probe = pod["containers"][0]["readinessProbe"]
    drain = build_parser("serve").parse_args(["serve"]).drain_seconds
    assert probe["httpGet"]["path"] == "/health"
    assert probe["periodSeconds"] * probe["failureThreshold"] < drain
    assert pod["terminationGracePeriodSeconds"] >= drain + ANSWER_SECONDS
