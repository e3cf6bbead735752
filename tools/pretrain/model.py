"""Embed tokens by the source encoder; build the ALBERT to pretrain, its initial embeddings and the heads of the losses.

Pretraining takes from the source encoder its tokenizer and its embeddings of single tokens, not of texts.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AlbertConfig, AlbertModel, PreTrainedModel, PreTrainedTokenizerBase

from sentiment.encoder.pooling import pool
from tools.pretrain.config import PretrainingConfig
from tools.pretrain.corpus import CLS, PAD, SEP, SPECIAL_TOKENS

INITIAL_EMBEDDING_STD = 0.05  # above the 0.02 of the position embeddings that are added, so that the words dominate
POOLING = "mean+max"  # both halves are trained, so that the encoder serves either pooling
EPSILON = 1e-12  # keeps a constant block from dividing by zero
TOKENS_PER_BATCH = 512  # three positions each: as many as a dozen reviews, which any machine holds


@torch.inference_mode()
def static_embeddings(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: list[int], device: torch.device
) -> Tensor:
    """Return the mean hidden state of `[CLS] token [SEP]` for every token, on the CPU. # (n_tokens, source_dim)

    This is the static embedding of Model2Vec (https://github.com/MinishLab/model2vec).
    """
    nn.Module.to(model, device)
    cls_id, sep_id = tokenizer.cls_token_id, tokenizer.sep_token_id
    input_ids = torch.tensor([[cls_id, token_id, sep_id] for token_id in ids], device=device)  # (n_tokens, 3)
    batches = torch.split(input_ids, TOKENS_PER_BATCH)
    return torch.cat([model(input_ids=batch).last_hidden_state.mean(1).cpu() for batch in batches])


def build_model(config: PretrainingConfig, embeddings: Tensor, device: torch.device) -> AlbertModel:
    """Return an ALBERT without pooler that starts from these token embeddings. # (vocab_size, embedding_size)"""
    albert_config = AlbertConfig(
        vocab_size=len(embeddings),
        embedding_size=config.embedding_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        intermediate_size=config.intermediate_size,
        hidden_act="gelu_pytorch_tanh",  # gelu_new's formula in one kernel
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=config.max_positions,
        type_vocab_size=2,
        pad_token_id=SPECIAL_TOKENS.index(PAD),
        bos_token_id=SPECIAL_TOKENS.index(CLS),
        eos_token_id=SPECIAL_TOKENS.index(SEP),
    )
    # the gradients of the fused kernels are deterministic on a CPU only
    albert_config._attn_implementation = "sdpa" if device.type == "cpu" else "eager"
    model = AlbertModel(albert_config, add_pooling_layer=False)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.copy_(embeddings)
        model.embeddings.token_type_embeddings.weight.zero_()
    nn.Module.to(model, device)  # transformers' own `to` is not typed
    return model


def initial_embeddings(source_embeddings: Tensor, ppmi_embeddings: Tensor, dim: int) -> Tensor:
    """Return the token embeddings that training starts from. # (vocab_size, dim)

    Args:
        source_embeddings: the tokens' embeddings from the source encoder; their principal components become the first
            half. # (vocab_size, source_dim)
        ppmi_embeddings: the tokens' associations with titles, the second half. # (vocab_size, dim // 2)
    """
    centered = (source_embeddings - source_embeddings.mean(0)).double()
    *_, directions = torch.linalg.svd(centered, full_matrices=False)  # (source_dim, source_dim)
    components = (centered @ directions[: dim - ppmi_embeddings.shape[1]].T).float()
    missing = dim - ppmi_embeddings.shape[1] - components.shape[1]
    halves = [functional.pad(components, (0, missing)), ppmi_embeddings]
    embeddings = torch.cat([half / half.std().clamp_min(EPSILON) for half in halves], dim=1)
    return embeddings / embeddings.std() * INITIAL_EMBEDDING_STD


class PretrainingHeads(nn.Module):
    """Linear maps from pooled features to the targets; not saved."""

    def __init__(self, dim: int, n_ngrams: int, svd_dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.titles = nn.Linear(dim, n_ngrams)
        self.texts = nn.Linear(dim, svd_dim)

    def forward(self, hidden: Tensor, mask: Tensor | None, titles: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Return two losses: on titles, cross-entropy averaged over texts with a title; on texts, mean squared error.

        Args:
            hidden: the model's last hidden state. # (n_texts, seq_len, hidden_size)
            mask: 1 for a token, 0 for padding; None without padding. # (n_texts, seq_len)
            titles: target distributions over title n-grams; a row sums to 1, or to 0 for a text without title.
                # (n_texts, n_ngrams)
            texts: the target vectors of the texts. # (n_texts, svd_dim)
        """
        features: Tensor = self.dropout(self.norm(pool(hidden, mask, POOLING)))  # (n_texts, dim)
        log_probs = functional.log_softmax(self.titles(features), dim=1)  # (n_texts, n_ngrams)
        title_loss = -(titles * log_probs).sum() / titles.sum().clamp_min(1)
        return title_loss, functional.mse_loss(self.texts(features), texts)
