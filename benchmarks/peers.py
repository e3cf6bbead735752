"""Encode with the engines that a user would pick for speed: OpenVINO, ONNX Runtime, and static vectors of model2vec.

Each gets the weights, tokens and mean pooling of the encoder that is measured, its own best settings, and batches of
texts of similar length, as `FrozenEncoder` makes them. Tokenizing counts. An engine that is not installed
(`pip install -e .[bench]`) has no row. sentence-transformers' backends run the same two engines by optimum, which needs
an older transformers than this project: optimum-onnx 0.1.0 one below 4.58, optimum-intel 2.2.0 one below 5.6.
"""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AlbertModel

from sentiment.encoder.floating import padded
from sentiment.encoder.frozen import TOKEN_BUDGET, token_batches

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
Batch = tuple[NDArray[np.int64], NDArray[np.int64]]  # token ids and mask, shape (n_texts, seq_len) each
CALIBRATION_BATCHES = 40  # for static int8


class MeanPooled(nn.Module):
    """An encoder with mean pooling, as one graph."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.model = AlbertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).train(False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return vectors, shape (n_texts, hidden_size), of ids and mask, shape (n_texts, seq_len)."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled: Tensor = (hidden * mask).sum(1) / mask.sum(1)
        return pooled


class Batches:
    """The tokenizer of a folder, which makes batches of texts of similar length."""

    def __init__(self, folder: Path, max_length: int) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_length)
        self.tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> list[tuple[list[int], Batch]]:
        """Return the indices of the texts of each batch, and its token ids and mask."""
        token_ids = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        batches = []
        for indices in token_batches([len(ids) for ids in token_ids], TOKEN_BUDGET["cpu"], torch.get_num_threads()):
            ids, mask = padded([token_ids[index] for index in indices], 0)
            batches.append((indices, (ids, np.ones_like(ids) if mask is None else mask)))
        return batches


def with_openvino(model: Any, core: Any, batches: Batches, precision: str) -> Encode:
    """Return what encodes by one infer request for each stream of OpenVINO; `precision` is its name of a type."""
    import openvino

    compiled = core.compile_model(
        model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    )

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.empty((len(texts), compiled.output(0).partial_shape[1].get_length()), np.float32)
        queue = openvino.AsyncInferQueue(compiled)

        def write(request: Any, indices: list[int]) -> None:
            out[indices] = request.get_output_tensor(0).data

        queue.set_callback(write)
        for indices, batch in batches(texts):
            queue.start_async(list(batch), indices)
        queue.wait_all()
        return out

    return encode


def openvino_peers(module: MeanPooled, batches: Batches, texts: Sequence[str]) -> dict[str, Encode]:
    """Return OpenVINO in float32, bfloat16 and static int8."""
    import nncf
    import openvino

    core = openvino.Core()
    calibration = [batch for _, batch in batches(texts)[:CALIBRATION_BATCHES]]
    model = openvino.convert_model(module, example_input=tuple(map(torch.from_numpy, calibration[0])))
    quantized = nncf.quantize(
        model, nncf.Dataset(calibration, list), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(calibration)
    )
    return {
        "OpenVINO, float32": with_openvino(model, core, batches, "f32"),
        "OpenVINO, bfloat16": with_openvino(model, core, batches, "bf16"),
        "OpenVINO, static int8": with_openvino(quantized, core, batches, "f32"),
        "OpenVINO, static int8 and bfloat16": with_openvino(quantized, core, batches, "bf16"),
    }


def onnx_peers(module: MeanPooled, batches: Batches, texts: Sequence[str]) -> dict[str, Encode]:
    """Return ONNX Runtime in float32 and dynamic int8."""
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    def encode(session: Any, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [
            (indices, session.run(None, {"input_ids": ids, "attention_mask": mask})[0])
            for indices, (ids, mask) in batches(texts)
        ]
        out = np.empty((len(texts), rows[0][1].shape[1]), np.float32)
        for indices, vectors in rows:
            out[indices] = vectors
        return out

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path, quantized = (str(Path(folder, name)) for name in ("float32.onnx", "int8.onnx"))
        names = ["input_ids", "attention_mask"]
        axes = {name: {0: "texts", 1: "tokens"} for name in names} | {"vectors": {0: "texts"}}
        example = tuple(map(torch.from_numpy, batches(texts)[0][1]))
        torch.onnx.export(
            module, example, path, input_names=names, output_names=["vectors"], dynamic_axes=axes, dynamo=False
        )
        quantize_dynamic(path, quantized)
        float32, int8 = (onnxruntime.InferenceSession(file, options) for file in (path, quantized))
    return {"ONNX Runtime, float32": partial(encode, float32), "ONNX Runtime, dynamic int8": partial(encode, int8)}


def static_vectors(module: MeanPooled, batches: Batches, texts: Sequence[str]) -> dict[str, Encode]:
    """Return a model2vec of the encoder's word vectors: the floor of what encoding costs, with another meaning."""
    from model2vec import StaticModel

    vectors = module.model.embeddings.word_embeddings.weight.detach().numpy()[: batches.tokenizer.get_vocab_size()]
    model = StaticModel(vectors, batches.tokenizer)
    return {"model2vec": partial(model.encode, show_progress_bar=False)}


def peers(folder: Path, max_length: int, texts: Sequence[str]) -> dict[str, Encode]:
    """Return what encodes by each engine that is installed, on the CPU."""
    module, batches = MeanPooled(folder), Batches(folder, max_length)
    found: dict[str, Encode] = {}
    for make in (openvino_peers, onnx_peers, static_vectors):
        with suppress(ImportError), torch.inference_mode():
            found |= make(module, batches, texts)
    return found
