"""The student's tokenizer: the teacher's, without the pieces that the training texts hardly use.

Four of five pieces go, and with them four fifths of the embedding table, which is most of a small ALBERT. A word
that lost its own piece falls apart into shorter ones, for every letter stays.
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

PAD, UNKNOWN, FIRST, LAST, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4
CHARACTERS = {prefix + character for character in string.printable for prefix in ("", "##")}


@dataclass(frozen=True)
class Vocabulary:
    """A pruned tokenizer.

    Attributes:
        tokenizer: gives the student's ids, `[CLS]` and `[SEP]` included.
        teacher_ids: the teacher's id of each of the student's pieces, in order.
    """

    tokenizer: Tokenizer
    teacher_ids: list[int]

    def __len__(self) -> int:
        return len(self.teacher_ids)

    def pieces_of(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's ids without the special ones."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def as_pretrained(self, max_length: int) -> PreTrainedTokenizerFast:
        """Return the tokenizer as transformers saves and loads it."""
        named = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
        return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=self.tokenizer, model_max_length=max_length, **named
        )


def prune(teacher: PreTrainedTokenizerBase, texts: Sequence[str], min_count: int) -> Vocabulary:
    """Keep the special pieces, single characters, and the pieces that occur `min_count` times in `texts`.

    Raises:
        EncoderError: the teacher's tokenizer is not WordPiece with BERT's special tokens.
    """
    whole = getattr(teacher, "backend_tokenizer", None)
    if whole is None or not isinstance(whole.model, WordPiece) or any(whole.token_to_id(s) is None for s in SPECIAL):
        raise EncoderError("the teacher's tokenizer must be WordPiece with [PAD], [UNK], [CLS], [SEP] and [MASK]")
    whole = Tokenizer.from_str(whole.to_str())  # a copy, so that the teacher's own keeps its settings
    whole.no_truncation()
    whole.no_padding()
    counts: Counter[str] = Counter()
    for encoding in whole.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    ids = whole.get_vocab()
    ordered = sorted(ids.keys() - set(SPECIAL), key=ids.__getitem__)
    kept = [*SPECIAL, *(piece for piece in ordered if counts[piece] >= min_count or piece in CHARACTERS)]
    return Vocabulary(_wordpiece(whole, kept), [ids[piece] for piece in kept])


def _wordpiece(like: Tokenizer, pieces: list[str]) -> Tokenizer:
    """Build a tokenizer of these pieces that cleans and cuts texts as `like` does."""
    settings = json.loads(like.to_str())["model"]
    model = WordPiece(
        {piece: place for place, piece in enumerate(pieces)},
        unk_token=UNKNOWN,
        max_input_chars_per_word=settings["max_input_chars_per_word"],
        continuing_subword_prefix=settings["continuing_subword_prefix"],
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = like.normalizer, like.pre_tokenizer, like.decoder
    tokenizer.post_processor = TemplateProcessing(
        single=f"{FIRST} $A {LAST}",
        pair=f"{FIRST} $A {LAST} $B:1 {LAST}:1",
        special_tokens=[(FIRST, pieces.index(FIRST)), (LAST, pieces.index(LAST))],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer
