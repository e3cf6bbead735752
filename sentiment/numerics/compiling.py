"""Compile functions of NumPy arrays with Numba: strict IEEE operations, without the interpreter's lock, kept on disk.

Without `fastmath`, LLVM neither reorders float operations nor joins a product and a sum into a fused multiply-add, so
a compiled loop gives the same bits on every processor.

A compiled function lies in a file of its own in the user's cache folder, under a name that depends on all that decides
its machine code: the sources, the types of the arguments, the processor, and the versions. Numba's own cache numbers
the files of a function, and two processes that save at one time can exchange them. A checksum finds damage; a file that
cannot be read is compiled again, and where no file can be written, the function stays in memory.
"""

import logging
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

Function = TypeVar("Function", bound=Callable[..., Any])

DIGEST_SIZE = 32  # bytes of a SHA-256
# A division by zero gives infinity. Without Numba's runtime there are no reference counts, an atomic operation each
# time that a loop looks at a row; so compiled functions take their scratch memory as arguments.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}

log = logging.getLogger(__name__)


def helper(function: Function) -> Function:
    """Let compiled functions call `function`; it lies in the cache as a part of them."""
    return cast(Function, numba.njit(**OPTIONS)(function))


def kernel(*sources: str) -> Callable[[Function], Function]:
    """Return a decorator: the function is compiled, or read from the cache, when it is first called.

    Args:
        sources: the paths of the modules whose text decides what the function computes.
    """

    def compile_lazily(function: Function) -> Function:
        compiled: Any = numba.njit(**OPTIONS)(function)
        compiled._cache = KernelCache(function.__qualname__, sources)
        return cast(Function, compiled)

    return compile_lazily


def cache_folder() -> Path:
    """Return the folder in the user's cache where compiled functions lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "frozen-albert-sentiment" / "kernels"


class KernelCache(NullCache):
    """The compiled forms of one function, one file for each processor and each combination of types."""

    def __init__(self, name: str, sources: Sequence[str]) -> None:
        self._name = name
        self._sources = tuple(sources)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled form for a signature; None where it is not in the cache, or damaged."""
        target_context.refresh()
        try:
            content = self._path(sig, target_context.codegen()).read_bytes()
            digest, data = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
            if sha256(data).digest() == digest:
                return CompileResult._rebuild(target_context, *pickle.loads(data))  # noqa: S301 - the user's own file
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
            log.debug("kernel %s is not read from the cache: %s", self._name, error)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write the compiled form for a signature, whole or not at all."""
        content = dumps(data._reduce())
        try:
            path = self._path(sig, data.codegen)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".unfinished-", delete=False) as file:
                try:
                    file.write(sha256(content).digest() + content)
                    file.close()
                    Path(file.name).replace(path)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except (OSError, RuntimeError) as error:
            log.debug("kernel %s is not kept: %s", self._name, error)

    def _path(self, sig: Any, codegen: Any) -> Path:
        """Return the file for a signature on the processor that `codegen` compiles for."""
        versions = (numba.__version__, llvmlite.__version__, sys.version, sys.byteorder)
        key = repr((self._name, str(sig), codegen.magic_tuple(), versions, sources_digest(self._sources)))
        return cache_folder() / f"{self._name}-{sha256(key.encode()).hexdigest()[:32]}"


@cache
def sources_digest(paths: tuple[str, ...]) -> str:
    """Return the SHA-256 of files, one after the other."""
    return sha256(b"".join(sha256(Path(path).read_bytes()).digest() for path in paths)).hexdigest()
