"""Runs wrk, a load generator in C that leaves the cores to the server (Debian: apt-get install wrk).

load = run_wrk("http://127.0.0.1:8080/predict", ["Soft and warm"], connections=32, seconds=5)
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sentiment.common.errors import InputError

SCRIPT = Path(__file__).with_name("requests.lua")


def run_wrk(url: str, texts: Sequence[str], connections: int, seconds: float) -> dict[str, float]:
    """Send the texts over and over, one a request, each connection the next one when it has its answer.

    Returns:
        seconds: from the first request to the end.
        p50_ms, p99_ms: latency of an answer.
        failed: connections refused, broken or timed out.
        n_labeled, n_refused: answers with status 200, and with another.

    Raises:
        InputError: wrk is not installed, or failed.
    """
    path = shutil.which("wrk")
    if path is None:
        raise InputError("wrk is not installed: apt-get install wrk, or brew install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as bodies:
        bodies.writelines(json.dumps({"inputs": text}) + "\n" for text in texts)
        bodies.flush()
        command = [path, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(SCRIPT), url]
        done = subprocess.run(
            [*command, "--", bodies.name], capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    result = next((line for line in done.stdout.splitlines() if line.startswith("result: ")), None)
    if done.returncode or result is None:
        raise InputError(f"wrk failed: {(done.stderr or done.stdout).strip()[:300]}")
    load: dict[str, float] = json.loads(result.removeprefix("result: "))
    return load
