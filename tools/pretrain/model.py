"""The student: an ALBERT whose token embeddings know something before training, and what it is trained to tell."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AlbertConfig, AlbertModel

from sentiment.encoder.pooling import pool
from tools.pretrain.config import Recipe
from tools.pretrain.vocabulary import FIRST, LAST, PAD, SPECIAL

EMBEDDING_DEVIATION = 0.05
POOLING = "mean+max"  # trained on both halves, so that either serves


@dataclass(frozen=True)
class Targets:
    """What a batch of texts is to be mapped to.

    Attributes:
        titles: shares of title words, shape (texts, sequences); a row adds up to 1, or to 0 for a text without title.
        texts: vectors of what the text's words say about titles, shape (texts, rank).
    """

    titles: Tensor
    texts: Tensor


def build_student(recipe: Recipe, vectors: Tensor, device: torch.device) -> AlbertModel:
    """Return an ALBERT without pooler; `vectors`, shape (pieces, embedding), become its token embeddings."""
    config = AlbertConfig(
        vocab_size=len(vectors),
        embedding_size=recipe.embedding,
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        intermediate_size=recipe.intermediate,
        hidden_act="gelu_pytorch_tanh",  # gelu_new's formula in one kernel
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=recipe.positions,
        type_vocab_size=2,
        pad_token_id=SPECIAL.index(PAD),
        bos_token_id=SPECIAL.index(FIRST),
        eos_token_id=SPECIAL.index(LAST),
    )
    # the fused kernels' gradients are deterministic on a CPU only
    config._attn_implementation = "sdpa" if device.type == "cpu" else "eager"
    student = AlbertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        student.embeddings.word_embeddings.weight.copy_(vectors)
        student.embeddings.token_type_embeddings.weight.zero_()
    nn.Module.to(student, device)  # transformers' own `to` is not typed
    return student


def starting_vectors(teacher: Tensor, associations: Tensor, dim: int) -> Tensor:
    """Return token embeddings to start from, shape (pieces, dim).

    Args:
        teacher: the teacher's vectors of the pieces; their principal components make up the first half.
        associations: the pieces' associations with title words, shape (pieces, dim // 2), the second half.
    """
    centred = (teacher - teacher.mean(0)).double()
    *_, directions = torch.linalg.svd(centred, full_matrices=False)
    components = (centred @ directions[: dim - associations.shape[1]].T).float()
    missing = dim - associations.shape[1] - components.shape[1]
    parts = [functional.pad(components, (0, missing)), associations]
    vectors = torch.cat([part / part.std().clamp_min(1e-12) for part in parts], dim=1)
    return vectors / vectors.std() * EMBEDDING_DEVIATION


class Objectives(nn.Module):
    """Linear maps from pooled features to the targets; thrown away after training."""

    def __init__(self, features: int, title_sequences: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.dropout = nn.Dropout(dropout)
        self.titles = nn.Linear(features, title_sequences)
        self.texts = nn.Linear(features, rank)

    def forward(self, hidden: Tensor, mask: Tensor | None, targets: Targets) -> tuple[Tensor, Tensor]:
        """Return the loss on titles and the loss on texts.

        The first is the cross-entropy of a softmax over all title words, averaged over texts with a title; the second
        the mean squared error. `hidden` has shape (texts, tokens, dim), `mask` (texts, tokens).
        """
        features: Tensor = self.dropout(self.norm(pool(hidden, mask, POOLING)))
        likely = functional.log_softmax(self.titles(features), dim=1)
        titles = -(targets.titles * likely).sum() / targets.titles.sum().clamp_min(1)
        return titles, functional.mse_loss(self.texts(features), targets.texts)
