"""Pick from requirements.txt the pins of the aarch64 wheels that the stages need, by what the packages require."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TORCH = "torch==2.9.1"  # the newest whose aarch64 wheel on PyPI is a CPU build, 104 MB
# what the stages import
IMPORTED = (
    "dvclive",
    "numba",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "torch",
    "tqdm",
)
# published as source only, and read by Hydra templates alone, which no stage uses
LEFT_OUT = frozenset({"antlr4-python3-runtime"})
# what the markers of requirements ask, for Debian 12 on aarch64
MARKER_ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.2",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def arm_requirements(lock: Path) -> list[str]:
    """Return `name==version` of every wheel that the stages need on aarch64, sorted.

    Names come from the metadata of the packages installed here, versions from the lock. A name that the lock leaves
    out (CUDA packages) is left out here, too.
    """
    pins = dict(_pins(lock.read_text(encoding="utf-8")))
    names = _required_names() & pins.keys() - LEFT_OUT
    return sorted(TORCH if name == "torch" else pins[name] for name in names)


def _pins(lock: str) -> Iterator[tuple[str, str]]:
    """Yield name and `name==version` of each line of the lock that applies to aarch64."""
    for line in lock.splitlines():
        if not line or line.startswith((" ", "#", "-")):
            continue
        pin = Requirement(line)
        if _applies(pin, frozenset()):
            yield canonicalize_name(pin.name), f"{pin.name}{pin.specifier}"


def _required_names() -> set[str]:
    """Return the canonical names of the imported packages and of all that they require on aarch64."""
    names: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in IMPORTED]
    while waiting:
        requirement = waiting.pop()
        extras = frozenset(requirement.extras)
        name = canonicalize_name(requirement.name)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        names.add(name)
        try:
            needs = requires(name) or []
        except PackageNotFoundError:  # needed on aarch64 only: the lock pins it, what it needs itself stays unknown
            continue
        waiting += [need for text in needs if _applies(need := Requirement(text), extras)]
    return names


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate(MARKER_ENVIRONMENT | {"extra": extra}) for extra in {"", *extras})
