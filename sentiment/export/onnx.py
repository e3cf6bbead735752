"""Write a classifier as one ONNX file, from the token ids of whole texts to probabilities.

The encoder is exported by torch from transformers' model, with pooling, standardization and head. The words beside the
features are added as nodes: ONNX's TfIdfVectorizer counts the n-grams, the rest is their weight as in `head.words`.
"""

import logging
import warnings
from collections.abc import Set
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from sentiment.encoder.loading import load_auto_model, pool
from sentiment.head.classifier import Classifier
from sentiment.head.features import MAX_ABS
from sentiment.head.mlp import round_weights
from sentiment.head.words import PAIR, PRODUCT_STEPS, STEP_BITS, Words

OPSET = 18
CHATTY = ("onnx_ir", "onnxscript", "torch.onnx")  # loggers that report every pass over the graph
INPUTS, LOGIT, WORDS_LOGIT, PROBABILITY = (
    ("input_ids", "attention_mask"),
    "features_logit",
    "words_logit",
    "probability",
)
AXES = {0: "texts", 1: "tokens"}


class Scorer(nn.Module):
    """What `SentimentClassifier` computes from token ids, without the words, in float32."""

    def __init__(self, encoder: nn.Module, classifier: Classifier, sep: int) -> None:
        """Take transformers' encoder, the head, and the id of the token that ends a text."""
        super().__init__()
        self.encoder, self._sep = encoder, sep
        config = classifier.config.features.config
        self._max_length, self._pooling = config.max_length, config.pooling
        self._mean, self._std = torch.from_numpy(classifier.mean), torch.from_numpy(classifier.std)
        self.layers = nn.ModuleList()
        for weight, bias in round_weights(classifier.layers):
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight.data, layer.bias.data = torch.from_numpy(weight).float(), torch.from_numpy(bias).float()
            self.layers.append(layer)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the log-odds of "positive". # (n_texts,)

        Args:
            input_ids: of the whole texts, special tokens included, shape (n_texts, n_tokens).
            attention_mask: 1 for a token, 0 for padding behind it.
        """
        is_cut = attention_mask.sum(1, keepdim=True) > self._max_length  # (n_texts, 1)
        is_last = torch.arange(input_ids.shape[1])[None] == self._max_length - 1  # (1, n_tokens)
        ids = torch.where(is_cut & is_last, self._sep, input_ids)[:, : self._max_length]
        mask = attention_mask[:, : self._max_length]
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        # (n_texts, dim); `head.features` also rounds them, to 2**-15
        outputs = ((pool(hidden, mask, self._pooling) - self._mean) / self._std).clamp(-MAX_ABS, MAX_ABS)
        for number, layer in enumerate(self.layers):
            outputs = layer(outputs if number == 0 else outputs.relu())
        return outputs[:, 0]


def onnx_model(encoder: Path, classifier: Classifier) -> onnx.ModelProto:
    """Return a model with the inputs of `Scorer.forward`, int64, and the output `probability`, shape (n_texts,).

    Raises:
        EncoderError: the encoder is damaged.
    """
    tokenizer, model = load_auto_model(encoder)
    cls, *_, sep = tokenizer("a")["input_ids"]
    example = torch.tensor([[cls, cls, cls, sep], [cls, cls, sep, sep]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that torch's own code chose
        exported = torch.onnx.export(
            Scorer(model, classifier, sep).train(False),
            (example, mask),
            input_names=list(INPUTS),
            output_names=[LOGIT],
            dynamic_shapes=(AXES, AXES),
            opset_version=OPSET,
            verbose=False,
        )
    assert exported is not None
    proto = exported.model_proto
    graph, logit = proto.graph, LOGIT
    if classifier.words:
        nodes, constants = words_nodes(classifier.words, set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})
        graph.node.extend([*nodes, helper.make_node("Add", [LOGIT, WORDS_LOGIT], ["logit"])])
        graph.initializer.extend(constants)
        logit = "logit"
    graph.node.append(helper.make_node("Sigmoid", [logit], [PROBABILITY]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(PROBABILITY, TensorProto.FLOAT, [AXES[0]]))
    onnx.checker.check_model(proto)
    return proto


def words_nodes(words: Words, special_ids: Set[int]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes from `input_ids` to `WORDS_LOGIT`, and their constants; formulas as in `head.words`.

    They compute in float64: in float32 another step, which is a hundredth of a logit, is now and then the nearest one.

    Args:
        special_ids: of tokens around a text; n-grams with them are left out, because the inputs have them. An unknown
            word is within a text.
    """
    keys, idf = words.vocabulary.keys, words.vocabulary.idf
    firsts, seconds = np.where(keys < PAIR, keys, keys // PAIR - 1), np.where(keys < PAIR, -1, keys % PAIR)
    kept = ~np.isin(firsts, list(special_ids)) & ~np.isin(seconds, list(special_ids))
    is_pair = seconds[kept] >= 0  # keys ascend, so single tokens come first
    pool_ids = [*firsts[kept][~is_pair], *np.stack([firsts[kept][is_pair], seconds[kept][is_pair]], axis=1).ravel()]
    constants = {
        "words.idf": (idf[kept] * PRODUCT_STEPS)[None],  # (1, n_ngrams)
        "words.by_step": words.by_step[kept][:, None],  # (n_ngrams, 1)
        "words.scale": np.float64(2**STEP_BITS),
        "words.zero": np.float64(0),
        "words.one": np.float64(1),
        "words.least": np.float64(1e-9),
        "words.axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node(
            "TfIdfVectorizer", ["input_ids"], ["words.float32"],
            mode="TF", min_gram_length=1, max_gram_length=2, max_skip_count=0,
            ngram_counts=[0, int((~is_pair).sum())], ngram_indexes=list(range(int(kept.sum()))),
            pool_int64s=[int(one) for one in pool_ids],
        ),  # (n_texts, n_ngrams)
        helper.make_node("Cast", ["words.float32"], ["words.counts"], to=TensorProto.DOUBLE),
        helper.make_node("Greater", ["words.counts", "words.zero"], ["words.has"]),
        helper.make_node("Cast", ["words.has"], ["words.present"], to=TensorProto.DOUBLE),
        helper.make_node("Max", ["words.counts", "words.one"], ["words.at_least_1"]),
        helper.make_node("Log", ["words.at_least_1"], ["words.log"]),
        helper.make_node("Add", ["words.log", "words.present"], ["words.tf"]),  # 1 + log(count), or 0
        helper.make_node("Mul", ["words.tf", "words.idf"], ["words.tfidf"]),
        helper.make_node("Round", ["words.tfidf"], ["words.rounded"]),
        helper.make_node("ReduceL2", ["words.rounded", "words.axis"], ["words.norm"], keepdims=1),
        helper.make_node("Max", ["words.norm", "words.least"], ["words.divisor"]),
        helper.make_node("Div", ["words.rounded", "words.divisor"], ["words.shares"]),
        helper.make_node("Mul", ["words.shares", "words.scale"], ["words.scaled"]),
        helper.make_node("Round", ["words.scaled"], ["words.steps"]),
        helper.make_node("MatMul", ["words.steps", "words.by_step"], ["words.sum"]),
        helper.make_node("Squeeze", ["words.sum", "words.axis"], ["words.logit"]),
        helper.make_node("Cast", ["words.logit"], [WORDS_LOGIT], to=TensorProto.FLOAT),
    ]  # fmt: skip
    return nodes, [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
