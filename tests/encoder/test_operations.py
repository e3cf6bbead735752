"""Every torch operation of an encode run is one whose result has the same bits everywhere."""

from pathlib import Path
from typing import Any

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from sentiment.encoder.config import Precision
from sentiment.encoder.exact import ExactTransformer
from tests.encoder.conftest import load

# Every operation that an encode run may use, and why its result has the same bits everywhere.
ELEMENTWISE = {"add", "sub", "mul", "div"}  # IEEE 754: correctly rounded; without alpha, so never fused
INTEGER_SUMS = {"_int_mm", "mm", "bmm", "sum"}  # of integers small enough that no partial sum is rounded
CHOICES = {  # one of its inputs or its negative, or an integer
    "abs", "neg", "amax", "amin", "maximum", "bitwise_right_shift", "gt", "nonzero", "clamp", "clamp_min", "clamp_max",
    "ceil", "round", "floor",
}  # fmt: skip
MEMORY = {  # moves, shapes or converts: to integers that the type holds, or to the nearest float
    "_to_copy", "alias", "cat", "clone", "contiguous", "copy", "detach", "empty", "empty_like", "empty_strided",
    "expand", "fill",
    "full", "full_like", "index_select", "lift_fresh", "ones_like", "permute", "reshape", "resize", "select", "slice",
    "split", "squeeze", "t", "transpose", "unbind", "unsqueeze", "view", "zero", "zeros", "_reshape_alias",
    "_unsafe_view", "resolve_conj", "resolve_neg", "set", "to",
    "scalar_tensor", "new_empty", "as_strided", "_local_scalar_dense",
}  # fmt: skip
ALLOWED = ELEMENTWISE | INTEGER_SUMS | CHOICES | MEMORY
# their floats are integers on a grid: `numerics.products`, `encoder.exact` and `integer_sums` say why


class Recorder(TorchDispatchMode):
    """Records the name of every torch operation, without the underscore of an in-place one."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()
        self.with_alpha: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.names.add(name if name.startswith("_") else name.rstrip("_"))
        if (kwargs or {}).get("alpha", 1) != 1:
            self.with_alpha.add(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("backend", ["auto", "float32"])
@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_every_torch_operation_is_one_that_is_exact(
    small_encoder: Path, texts: list[str], precision: Precision, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentiment.numerics.products import backend as int8_backend

    monkeypatch.setenv("SENTIMENT_INT8", backend)
    int8_backend.cache_clear()
    recorder = Recorder()
    with recorder:
        encoder = load(small_encoder, precision)
        assert isinstance(encoder.model, ExactTransformer)
        encoder.model.encode(encoder.tokenize(texts[:40]), "mean+max")
    int8_backend.cache_clear()
    tests_of_the_product = {"randint", "equal", "matmul", "ones", "item"}
    assert recorder.names - ALLOWED - tests_of_the_product == set()
    assert not recorder.with_alpha
    assert {"bmm", "amax", "round"} < recorder.names, "else nothing was recorded"
