"""Train a small ALBERT to give what the teacher gives: the hidden state of every token, and the vector of every text.

A third target is the opinion of the review that a text is part of (see `tools.encoder.opinion`): a sentence encoder
says first what a text is about, and what it thinks of that only in passing.

The loop is one page. Teacher and student read the same token ids, so that each token has a target (TinyBERT, Jiao et
al., 2020, https://arxiv.org/abs/1909.10351); the teacher computes the targets of the next batch on one core while the
student learns on another. Texts are pieces of reviews, from one sentence to 128 tokens, cut elsewhere in each
epoch. In half of them some tokens are swapped for random ones: the teacher then says what a word means in films, phones
and kitchens of which no review speaks.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm
from transformers import AlbertConfig, AlbertModel

from sentiment.common.errors import EncoderError
from sentiment.common.files import atomic
from sentiment.encoder.floating import FloatTransformer, padded
from sentiment.encoder.loading import pool
from tools.encoder.corpus import CLS, PAD, SEP, SPECIAL_TOKENS, Ids

log = logging.getLogger(__name__)

PAD_ID, CLS_ID, SEP_ID = (SPECIAL_TOKENS.index(token) for token in (PAD, CLS, SEP))
POOLING = "mean+max"  # both halves are trained, so that the encoder serves either pooling
INITIAL_EMBEDDING_STD = 0.05  # above the 0.02 of the position embeddings that are added, so that the words dominate
PIECES_PER_SORT = 8_192  # sorted by length together: more means less padding, but less variety of batches
MAX_GRAD_NORM = 1.0
ADAM_BETAS = (0.9, 0.98)  # as RoBERTa, for stability
MIN_LR_RATIO = 0.02  # of the highest learning rate, at the last step
CHECKPOINT_STEPS = 500  # some minutes of work


@dataclass(frozen=True)
class Piece:
    """A part of a review.

    Attributes:
        ids: of its tokens, special tokens included, shape (n_tokens,).
        opinion: how positive the review is, in standard deviations.
    """

    ids: Ids
    opinion: float


@dataclass(frozen=True)
class Settings:
    """Shape of the student and its training, each with the value that made the committed encoder.

    Attributes:
        vocab_size: tokens, the most frequent of the teacher's.
        embedding_size, hidden_size, n_layers, n_groups, n_heads, intermediate_size: of the ALBERT; layers of one group
            share their weights.
        max_positions: the longest input that the encoder can take, in tokens.
        max_length: tokens of a piece in training, special tokens included.
        mean_sentences: of a piece that is not cut at `max_length` alone; geometrically distributed.
        swap_probability: of a token of every second piece.
        shift_probability: of a batch whose first position is a random one, so that the encoder can take inputs longer
            than `max_length`.
        opinion_weight: of the loss of the opinions; that of tokens and that of texts have 1.
        n_steps: batches.
        tokens_per_batch: padding included.
        warmup_steps: of the learning rate.
        ema_decay: of the exponential moving average of the weights, which is what is saved.
    """

    vocab_size: int = 8_000
    embedding_size: int = 128
    hidden_size: int = 256
    n_layers: int = 3
    n_groups: int = 2
    n_heads: int = 4
    intermediate_size: int = 512
    max_positions: int = 512
    max_length: int = 128
    mean_sentences: float = 3.0
    swap_probability: float = 0.15
    shift_probability: float = 0.25
    opinion_weight: float = 0.5
    n_steps: int = 6_000
    tokens_per_batch: int = 4_096
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    ema_decay: float = 0.998
    seed: int = 0


class Pieces:
    """Pieces of texts as batches of token ids; equal arguments give equal batches."""

    def __init__(
        self, texts: Sequence[Sequence[Ids]], opinions: Sequence[float], settings: Settings, swappable: Ids
    ) -> None:
        """Take the sentences of each text as token ids, its opinion, and the ids that a token may be swapped for."""
        self._texts, self._opinions, self._settings, self._swappable = texts, opinions, settings, swappable

    def batches(self) -> Iterator[list[Piece]]:
        """Yield batches without end, one epoch after the other: special tokens included, longest piece first."""
        settings, epoch = self._settings, 0
        while True:
            rng = np.random.default_rng([settings.seed, epoch])
            pieces = [
                Piece(ids, opinion)
                for sentences, opinion in zip(self._texts, self._opinions, strict=True)
                for ids in self._cut(sentences, rng)
            ]
            pieces = [pieces[index] for index in rng.permutation(len(pieces))]
            for start in range(0, len(pieces), PIECES_PER_SORT):
                yield from self._sorted(pieces[start : start + PIECES_PER_SORT], rng)
            epoch += 1

    def _cut(self, sentences: Sequence[Ids], rng: np.random.Generator) -> Iterator[Ids]:
        """Yield runs of sentences, some as long as `max_length` allows."""
        settings, start = self._settings, 0
        while start < len(sentences):
            n = int(rng.geometric(1 / settings.mean_sentences)) if rng.random() < SHORT else len(sentences)
            ids = np.concatenate(sentences[start : start + n])[: settings.max_length - 2]
            if len(ids) >= MIN_TOKENS:
                yield np.concatenate([[CLS_ID], ids, [SEP_ID]]).astype(np.int32)
            start += n

    def _sorted(self, pieces: list[Piece], rng: np.random.Generator) -> Iterator[list[Piece]]:
        """Yield batches of pieces of similar length, in random order, some tokens swapped."""
        ordered = sorted(pieces, key=lambda piece: len(piece.ids), reverse=True)
        batches, start = [], 0
        while start < len(ordered):
            n = max(1, self._settings.tokens_per_batch // len(ordered[start].ids))
            batches.append([self._swap(piece, rng) for piece in ordered[start : start + n]])
            start += n
        for index in rng.permutation(len(batches)):
            yield batches[index]

    def _swap(self, piece: Piece, rng: np.random.Generator) -> Piece:
        if rng.random() < 0.5:
            return piece
        swapped = rng.random(len(piece.ids)) < self._settings.swap_probability
        swapped[[0, -1]] = False
        ids = piece.ids.copy()
        ids[swapped] = rng.choice(self._swappable, int(swapped.sum()))
        return replace(piece, ids=ids)


SHORT = 0.8  # share of pieces whose number of sentences is drawn; the others are as long as they may be
MIN_TOKENS = 3


def initial_embeddings(teacher: FloatTransformer, source_ids: Sequence[int], size: int) -> Tensor:
    """Return the principal components of the teacher's vectors of single tokens. # (vocab_size, size)

    The vector of a token is the mean hidden state of `[CLS] token [SEP]`, the static embedding of Model2Vec
    (https://github.com/MinishLab/model2vec).
    """
    cls, sep = source_ids[CLS_ID], source_ids[SEP_ID]
    vectors = []
    for start in range(0, len(source_ids), TOKENS_PER_CALL):
        ids = [[cls, token, sep] for token in source_ids[start : start + TOKENS_PER_CALL]]
        vectors.append(teacher.encode(ids, "mean").float())
    table = torch.cat(vectors)
    table = table - table.mean(0)
    left, values, _ = torch.linalg.svd(table, full_matrices=False)
    embeddings: Tensor = (left * values)[:, :size]
    return embeddings / embeddings.std() * INITIAL_EMBEDDING_STD


TOKENS_PER_CALL = 512


def build_student(settings: Settings, embeddings: Tensor) -> AlbertModel:
    """Return an ALBERT without pooler that starts as a model of static vectors: each layer first adds nothing.

    Attention and feed-forward layers end in a matrix of zeros, so that the residual stream is what the embeddings give;
    training begins from there, not from noise.
    """
    config = AlbertConfig(
        vocab_size=len(embeddings),
        embedding_size=settings.embedding_size,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.n_layers,
        num_hidden_groups=settings.n_groups,
        num_attention_heads=settings.n_heads,
        intermediate_size=settings.intermediate_size,
        hidden_act="gelu_pytorch_tanh",  # gelu_new's formula in one kernel
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=settings.max_positions,
        type_vocab_size=2,
        pad_token_id=PAD_ID,
        bos_token_id=CLS_ID,
        eos_token_id=SEP_ID,
    )
    config._attn_implementation = "sdpa"
    model = AlbertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.copy_(embeddings)
        model.embeddings.position_embeddings.weight.copy_(sinusoids(settings.max_positions, settings.embedding_size))
        nn.init.orthogonal_(model.encoder.embedding_hidden_mapping_in.weight)
        for name, parameter in model.named_parameters():
            if name.endswith(("attention.dense.weight", "ffn_output.weight")):
                parameter.zero_()
    return model


class Heads(nn.Module):
    """Linear maps from what the student gives to the targets; not saved."""

    def __init__(self, hidden_size: int, teacher_size: int) -> None:
        super().__init__()
        self.tokens = nn.Linear(hidden_size, teacher_size)
        self.texts = nn.Linear(2 * hidden_size, teacher_size)
        self.opinions = nn.Linear(2 * hidden_size, 1)


def sinusoids(n: int, size: int) -> Tensor:
    """Return positions as sines and cosines of falling frequency (Vaswani et al., 2017), scaled. # (n, size)"""
    angles = torch.arange(n)[:, None] / 10_000 ** (torch.arange(0, size, 2) / size)  # (n, size / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1) * math.sqrt(2) * INITIAL_POSITION_STD


INITIAL_POSITION_STD = 0.02


@dataclass(frozen=True)
class Targets:
    """What the teacher gives for a batch.

    Attributes:
        hidden: its last hidden state, the tokens of one text after the other, shape (n_tokens, teacher_size).
        means: of the hidden states by text, shape (n_texts, teacher_size).
    """

    hidden: Tensor
    means: Tensor


class Teacher:
    """The published encoder, which reads the student's token ids."""

    def __init__(self, transformer: FloatTransformer, source_ids: Sequence[int]) -> None:
        self._transformer, self._source_ids = transformer, np.array(source_ids)

    @torch.inference_mode()
    def __call__(self, batch: Sequence[Piece]) -> Targets:
        """Return the targets of a batch; without a GPU it runs on one core."""
        torch.set_num_threads(1)
        token_ids = [self._source_ids[piece.ids].tolist() for piece in batch]
        means, hidden = self._transformer.encode_with_tokens(token_ids, "mean")
        return Targets(torch.cat(hidden).float(), means.float())


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 at least as fast as in float32."""
    return device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def learning_rate(step: int, settings: Settings) -> float:
    """Return the learning rate of a step, counted from 0: linear warm-up times cosine decay."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / settings.n_steps))
    warmup = min(1.0, (step + 1) / settings.warmup_steps)
    return settings.learning_rate * warmup * (MIN_LR_RATIO + (1 - MIN_LR_RATIO) * cosine)


def train(model: AlbertModel, teacher: Teacher, pieces: Pieces, settings: Settings, checkpoint: Path) -> None:
    """Train `model` in place; it ends with the moving average of its weights, in evaluation mode.

    A run that was stopped goes on from `checkpoint`, and ends with the same weights.

    Raises:
        EncoderError: a loss was not finite.
    """
    batches = pieces.batches()
    scales = Scales.of([teacher(batch) for batch in islice(batches, 20)])
    batches = pieces.batches()
    heads = Heads(settings.hidden_size, len(scales.hidden_mean)).to(model.device)
    parameters = [*model.parameters(), *heads.parameters()]
    # weight decay is for matrices only, not for biases and norms, as is usual
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=ADAM_BETAS)

    def update(average: Tensor, value: Tensor, n: Tensor | int) -> Tensor:
        # a shorter average at first, as in TensorFlow's ExponentialMovingAverage, forgets the first weights
        return average.lerp(value, 1 - min(settings.ema_decay, (int(n) + 1) / (int(n) + 11)))

    average = AveragedModel(model, avg_fn=update)
    state: dict[str, Any] = {"model": model, "heads": heads, "optimizer": optimizer, "average": average}
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=model.device, weights_only=True)
        for name, part in state.items():
            part.load_state_dict(saved[name])
        first = saved["step"]
        log.info("encoder: goes on from step %d", first)
    batches = islice(batches, first, None)
    model.train()
    with ThreadPoolExecutor(1) as executor, tqdm(total=settings.n_steps, initial=first, unit=" steps") as bar:
        batch = next(batches)
        coming = executor.submit(teacher, batch)
        for step in range(first, settings.n_steps):
            targets = coming.result(timeout=MAX_SECONDS)
            following = next(batches)
            coming = executor.submit(teacher, following)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, settings)
            shift = first_position(batch, step, settings)
            token_loss, text_loss, opinion_loss = losses(model, heads, batch, scales.standardize(targets), shift)
            loss = token_loss + text_loss + settings.opinion_weight * opinion_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
            optimizer.step()
            average.update_parameters(model)
            if not math.isfinite(loss.item()):
                raise EncoderError(f"training diverged at step {step + 1}")
            shown = {"tokens": token_loss, "texts": text_loss, "opinions": opinion_loss}
            bar.set_postfix({name: f"{value.item():.3f}" for name, value in shown.items()}, refresh=False)
            bar.update()
            batch = following
            if (step + 1) % CHECKPOINT_STEPS == 0:
                parts = {name: part.state_dict() for name, part in state.items()}
                with atomic(checkpoint) as partial:
                    torch.save({**parts, "step": step + 1}, partial)
    model.load_state_dict(average.module.state_dict())
    model.train(False)


MAX_SECONDS = 600  # for the targets of a batch


def first_position(batch: Sequence[Piece], step: int, settings: Settings) -> int:
    """Return the position of a batch's first tokens: mostly 0, else such that the longest piece ends in time."""
    rng = np.random.default_rng([settings.seed, step])
    if rng.random() >= settings.shift_probability:
        return 0
    return int(rng.integers(settings.max_positions - max(len(piece.ids) for piece in batch) + 1))


def losses(
    model: AlbertModel, heads: Heads, batch: Sequence[Piece], targets: Targets, shift: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean losses of a batch whose first tokens have the position `shift`.

    Returns:
        Squared errors of hidden states, texts and opinions, in units of the targets' variance.
    """
    padded_ids, padding = padded([piece.ids.tolist() for piece in batch], PAD_ID)
    ids = torch.from_numpy(padded_ids).to(model.device)
    mask = None if padding is None else torch.from_numpy(padding).to(model.device)
    positions = torch.arange(shift, shift + ids.shape[1], device=model.device)[None]
    with torch.autocast(model.device.type, torch.bfloat16, enabled=has_bfloat16(model.device)):
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions)
    hidden = output.last_hidden_state.float()  # (n_texts, seq_len, hidden_size)
    tokens = hidden.flatten(0, 1) if mask is None else hidden[mask.bool()]  # (n_tokens, hidden_size)
    texts = pool(hidden, mask, POOLING)  # (n_texts, 2 * hidden_size)
    opinions = torch.tensor([piece.opinion for piece in batch], device=model.device)  # (n_texts,)
    return (
        nn.functional.mse_loss(heads.tokens(tokens), targets.hidden),
        nn.functional.mse_loss(heads.texts(texts), targets.means),
        nn.functional.mse_loss(heads.opinions(texts)[:, 0], opinions),
    )


@dataclass(frozen=True)
class Scales:
    """Mean and std of the teacher's hidden states and of its texts. # (teacher_size,) each"""

    hidden_mean: Tensor
    hidden_std: Tensor
    means_mean: Tensor
    means_std: Tensor

    @classmethod
    def of(cls, targets: Sequence[Targets]) -> "Scales":
        """Return those of some batches."""
        hidden, means = torch.cat([one.hidden for one in targets]), torch.cat([one.means for one in targets])
        return cls(hidden.mean(0), hidden.std(0), means.mean(0), means.std(0))

    def standardize(self, targets: Targets) -> Targets:
        """Return targets of mean 0 and variance 1."""
        return Targets(
            (targets.hidden - self.hidden_mean) / self.hidden_std, (targets.means - self.means_mean) / self.means_std
        )
