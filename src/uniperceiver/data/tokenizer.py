"""Texts as token ids: a ``tokenizer.json`` read with `tokenizers`, its special ids found by name."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Self

from tokenizers import Encoding
from tokenizers import Tokenizer as RawTokenizer

from uniperceiver.data.clip_tokenizer import CLIP_PADDING_ID, CLIP_SOURCE, END, SPE, clip_tokenizer, read_merges, tidied
from uniperceiver.pretrained import tokenizer_file

SPELLINGS = {
    "padding": ("[PAD]", "<pad>"),
    "slot": ("[MASK]", "<mask>", SPE),
    "start": ("[CLS]", "<s>"),
    "end": ("[SEP]", "</s>", END),
}
"""How BERT, RoBERTa and Uni-Perceiver v1 write the special token of each role."""


class Tokenizer:
    """A tokenizer of the BERT or RoBERTa kind, or Uni-Perceiver v1's (`clip_tokenizer`).

    v1's has no start token, pads with an ordinary word, and its texts are tidied before they are cut into words.

    Special tokens written inside a text are recognised: ``"a [MASK] car"`` (``"a <mask> car"`` for RoBERTa) has a slot.
    Truncation and padding asked for by the file are switched off: `encode` cuts where its caller says, and batches are
    padded by `TextBatch`. Byte-level BPE keeps the blank before a word in its token, as RoBERTa was trained: ``"dog"``
    at the start of a text and in the middle of it are two tokens; both decode to ``dog``.
    """

    padding_id: int
    slot_id: int
    """The mask token: what stands where a word is to be predicted."""
    start_id: int | None
    """None: texts have no start token (v1)."""
    end_id: int
    vocabulary_size: int
    """One more than the largest id."""
    special_ids: frozenset[int]
    """Ids that are no words: the four above, the unknown token and whatever else the file declares special."""

    def __init__(self, raw: RawTokenizer) -> None:
        raw.no_truncation()
        raw.no_padding()
        self._raw = raw
        self._has_warned = False
        self._is_clip = raw.token_to_id(SPE) is not None
        self.padding_id = CLIP_PADDING_ID if self._is_clip else self._role_id("padding")
        self.slot_id = self._role_id("slot")
        self.slot = str(raw.id_to_token(self.slot_id))
        self.start_id = None if self._is_clip else self._role_id("start")
        self.end_id = self._role_id("end")
        self.vocabulary_size = max(raw.get_vocab(with_added_tokens=True).values()) + 1
        declared = {index for index, token in raw.get_added_tokens_decoder().items() if token.special}
        roles = {self.slot_id, self.end_id}
        if self.start_id is not None:  # otherwise padding is an ordinary word
            roles |= {self.start_id, self.padding_id}
        self.special_ids = frozenset(declared | roles)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a ``tokenizer.json``: FileNotFoundError without it, ValueError if malformed or a special token lacks."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no tokenizer at {path}: expected a tokenizer.json file")
        try:
            raw = RawTokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"{path} is not a tokenizer.json of the `tokenizers` library: {error}") from error
        return cls(raw)

    @classmethod
    def from_source(cls, source: str | None) -> Self:
        """Read the ``tokenizer.json`` of a source string (`uniperceiver.pretrained`): a path, a hub name, a package.

        `CLIP_SOURCE`, or a file ``….gz`` of CLIP's merges, gives Uni-Perceiver v1's.

        Raises:
            FileNotFoundError: there is no such file, or its package is not installed.
            ValueError: no source, or a file of something else.
        """
        if source is None:
            raise ValueError("no tokenizer is configured: set text.tokenizer, or text.pretrained to what brings one")
        if source == CLIP_SOURCE:
            return cls(clip_tokenizer(read_merges()))
        path = tokenizer_file(source)
        return cls(clip_tokenizer(read_merges(path))) if path.suffix == ".gz" else cls.from_file(path)

    def save(self, path: str | Path) -> None:
        """Write the ``tokenizer.json``."""
        self._raw.save(str(path))

    def to_json(self) -> str:
        """What `save` writes."""
        return str(self._raw.to_str())

    def encode(self, text: str, max_tokens: int | None = None, special: bool = True) -> list[int]:
        """The ids of a text; ``special`` puts the start token, if there is one, before and the end token behind it.

        With ``max_tokens``, words at the end are cut so that the ids, special tokens included, are at most that many;
        the first cut of this tokenizer gives a warning.
        """
        return self._cut(self._encoded(text).ids, max_tokens, special)

    def encode_batch(
        self, texts: Sequence[str], max_tokens: int | None = None, special: bool = True
    ) -> list[list[int]]:
        """`encode` of many texts."""
        tidy = [self._tidied(text) for text in texts]
        encodings = self._raw.encode_batch(tidy, add_special_tokens=False)
        return [self._cut(encoding.ids, max_tokens, special) for encoding in encodings]

    def framed(self, ids: Sequence[int]) -> list[int]:
        """Ids between the start token, if there is one, and the end token."""
        return [*([] if self.start_id is None else [self.start_id]), *ids, self.end_id]

    def word_groups(self, text: str, max_tokens: int | None = None, special: bool = True) -> list[list[int]]:
        """Which tokens make up each word: places in what `encode` gives for the same arguments.

        A word is what the tokenizer cuts into pieces, so a punctuation mark is a word of its own. Special tokens, the
        unknown one among them, belong to no word. A word that truncation cuts in two keeps its first pieces.
        """
        encoding = self._encoded(text)
        frame = len(self.framed([])) if special else 0
        length = len(self._cut(encoding.ids, max_tokens, special)) - frame
        shift = max(frame - 1, 0)
        kept = [[place + shift for place in group if place < length] for group in self._words(encoding)]
        return [group for group in kept if group]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens and without blanks around it."""
        return str(self._raw.decode(list(ids), skip_special_tokens=True)).strip()

    def _words(self, encoding: Encoding) -> list[list[int]]:
        """Places of the tokens of each word of an encoding without start and end."""
        places = (place for place, index in enumerate(encoding.ids) if index not in self.special_ids)
        return [list(group) for _, group in groupby(places, key=lambda place: encoding.word_ids[place])]

    def _encoded(self, text: str) -> Encoding:
        return self._raw.encode(self._tidied(text), add_special_tokens=False)

    def _tidied(self, text: str) -> str:
        return tidied(text) if self._is_clip else text

    def _cut(self, ids: list[int], max_tokens: int | None, special: bool) -> list[int]:
        """Ids cut to ``max_tokens`` and put between start and end."""
        frame = len(self.framed([])) if special else 0
        if max_tokens is not None and max_tokens < frame:
            raise ValueError(
                f"max_tokens={max_tokens} leaves no room for the start and end tokens: give at least {frame}"
            )
        if max_tokens is not None and len(ids) + frame > max_tokens:
            self._warn_of_cut(len(ids) + frame, max_tokens)
            ids = ids[: max_tokens - frame]
        return self.framed(ids) if special else ids

    def _warn_of_cut(self, given: int, max_tokens: int) -> None:
        """Once per tokenizer: data sets have many long texts, and one line says what there is to know."""
        if not self._has_warned:
            self._has_warned = True
            message = f"a text of {given} tokens was cut to max_tokens={max_tokens}; further cuts are not reported"
            warnings.warn(message, stacklevel=4)

    def _role_id(self, role: str) -> int:
        """The id of a special token, by any of its known spellings."""
        for spelling in SPELLINGS[role]:
            index = self._raw.token_to_id(spelling)
            if index is not None:
                return int(index)
        known = " nor ".join(SPELLINGS[role])
        raise ValueError(f"the tokenizer has no {role} token: its vocabulary contains neither {known}; add one of them")
