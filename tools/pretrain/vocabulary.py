"""A WordPiece tokenizer and texts in; the same tokenizer without the tokens that these texts hardly use out.

For the bundled encoder four of five tokens are removed, and with them four fifths of the embedding table, which is most
of a small ALBERT. A word whose token was removed is split into shorter ones: every single character stays.
"""

import json
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sentiment.common.errors import EncoderError

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
CHARACTER_TOKENS = {prefix + character for character in string.printable for prefix in ("", "##")}


@dataclass(frozen=True)
class Vocabulary:
    """A pruned tokenizer.

    Attributes:
        tokenizer: adds `[CLS]` and `[SEP]`.
        source_ids: each token's id in the source encoder's tokenizer, in order.
    """

    tokenizer: Tokenizer
    source_ids: list[int]

    def __len__(self) -> int:
        return len(self.source_ids)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids without special tokens."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def as_pretrained(self, max_length: int) -> PreTrainedTokenizerFast:
        """Return the tokenizer as transformers saves and loads it."""
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=self.tokenizer,
            model_max_length=max_length,
            **dict(zip(names, SPECIAL_TOKENS, strict=True)),
        )


def prune(source: PreTrainedTokenizerBase, texts: Sequence[str], min_count: int) -> Vocabulary:
    """Keep special tokens, single characters, and the tokens that occur at least `min_count` times in `texts`.

    Raises:
        EncoderError: the tokenizer is not WordPiece with BERT's special tokens.
    """
    backend = getattr(source, "backend_tokenizer", None)
    if (
        backend is None
        or not isinstance(backend.model, WordPiece)
        or any(backend.token_to_id(token) is None for token in SPECIAL_TOKENS)
    ):
        raise EncoderError(f"the source encoder's tokenizer must be WordPiece with {', '.join(SPECIAL_TOKENS)}")
    backend = Tokenizer.from_str(backend.to_str())  # a copy: the caller's tokenizer keeps its settings
    backend.no_truncation()
    backend.no_padding()
    counts: Counter[str] = Counter()
    for encoding in backend.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    ids = backend.get_vocab()
    by_id = sorted(ids.keys() - set(SPECIAL_TOKENS), key=ids.__getitem__)
    kept = [*SPECIAL_TOKENS, *(token for token in by_id if counts[token] >= min_count or token in CHARACTER_TOKENS)]
    return Vocabulary(_build_tokenizer(backend, kept), [ids[token] for token in kept])


def _build_tokenizer(source: Tokenizer, tokens: list[str]) -> Tokenizer:
    """Build a WordPiece tokenizer of these tokens that normalizes and splits texts as `source` does."""
    settings = json.loads(source.to_str())["model"]
    model = WordPiece(
        {token: token_id for token_id, token in enumerate(tokens)},
        unk_token=UNK,
        max_input_chars_per_word=settings["max_input_chars_per_word"],
        continuing_subword_prefix=settings["continuing_subword_prefix"],
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = source.normalizer
    tokenizer.pre_tokenizer = source.pre_tokenizer
    tokenizer.decoder = source.decoder
    tokenizer.post_processor = TemplateProcessing(
        single=f"{CLS} $A {SEP}",
        pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
        special_tokens=[(CLS, tokens.index(CLS)), (SEP, tokens.index(SEP))],
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer
