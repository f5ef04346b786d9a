"""The tokenizer of Uni-Perceiver v1: CLIP's byte-pair encoding with five special words (spec, section 3)."""

from __future__ import annotations

import gzip
import html
import re
from importlib.util import find_spec
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as RawTokenizer

START, END, MASK, GEN, SPE = "<|startoftext|>", "<|endoftext|>", "<|mask|>", "<|gen|>", "<|spe|>"
"""The last five words, in this order."""
CLIP_PADDING_ID = 0
"""v1 pads with the word "!" and a mask."""
MERGES = 49152 - 256 - 2
"""Merges that are used of those in the file."""
VOCABULARY_FILE = "bpe_simple_vocab_16e6.txt.gz"
CLIP_SOURCE = "pypi:open_clip_torch"
"""As a tokenizer's source: the vocabulary inside this package."""
_PATTERN = r"'[sſ]|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
_WRITTEN = re.compile(r"(<\|(?:startoftext|endoftext|gen|spe)\|>)|(?:[^\w\s]|_)+")
"""Special words that texts may contain, and runs of punctuation, as the official pattern cuts them. ``<|mask|>`` is no
special word: that pattern does not know it."""
_REST = re.compile(r"(?:startoftext|endoftext|gen|spe)\|>")
"""A special word without its first two characters."""


def clip_tokenizer(merges: list[tuple[str, str]]) -> RawTokenizer:
    """v1's tokenizer of 49,411 words: 256 bytes, the same ending a word, the merges, five special words.

    Texts must be `tidied` before. ValueError for too few merges.
    """
    if len(merges) < MERGES:
        raise ValueError(f"a CLIP vocabulary has at least {MERGES} merges, got {len(merges)}")
    merges = merges[:MERGES]
    letters = _byte_letters()
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {word: index for index, word in enumerate([*words, START, END, MASK, GEN, SPE])}
    raw = RawTokenizer(models.BPE(vocabulary, merges, end_of_word_suffix="</w>"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    # Ġ is how the byte-level decoder writes a blank
    raw.decoder = decoders.Sequence([decoders.Replace("</w>", "Ġ"), decoders.ByteLevel()])
    raw.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in (START, END, GEN, SPE)])
    return raw


def read_merges(path: Path | None = None) -> list[tuple[str, str]]:
    """The merges of CLIP's ``bpe_simple_vocab_16e6.txt.gz``: of a file, or of the package open_clip_torch.

    Raises:
        FileNotFoundError: no such file, or no package.
        ValueError: not a list of merges.
    """
    path = path or _packaged_file()
    if not path.is_file():
        raise FileNotFoundError(f"no vocabulary at {path}: expected CLIP's {VOCABULARY_FILE}")
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8")
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not CLIP's {VOCABULARY_FILE}: {error}") from None
    lines = text.split("\n")[1 : MERGES + 1]  # the first line names the version
    pairs = [tuple(line.split()) for line in lines if line]
    if any(len(pair) != 2 for pair in pairs) or len(pairs) < MERGES:
        raise ValueError(
            f"{path} is not CLIP's {VOCABULARY_FILE}: expected {MERGES} lines of two words after the first"
        )
    return [(first, second) for first, second in pairs]


def tidied(text: str) -> str:
    """A text as v1 reads it: encoding mistakes mended, HTML entities resolved, blanks made one, in lower case.

    ImportError when the text needs ftfy and it is not installed; printable ASCII without entities does not.
    """
    is_plain = text.isascii() and text.isprintable() and "&" not in text
    mended = text if is_plain else _mended(text)
    resolved = html.unescape(html.unescape(mended))
    lower = re.sub(r"\s+", " ", resolved).strip().lower()
    return _WRITTEN.sub(_unless_attached, lower) if "<|" in lower else lower


def _mended(text: str) -> str:
    try:
        import ftfy
    except ImportError:
        raise ImportError(
            "Uni-Perceiver v1 reads texts beyond plain ASCII with ftfy: pip install 'uniperceiver[clip]'"
        ) from None
    return ftfy.fix_text(text)


def _unless_attached(match: re.Match[str]) -> str:
    """The official pattern takes punctuation before a special word together with its first two characters.

    A blank between those and the rest makes the same words, since there the pattern cuts anyway.
    """
    is_begun = match[1] is None and match[0].endswith("<|") and _REST.match(match.string, match.end()) is not None
    return f"{match[0]} " if is_begun else match[0]


def _packaged_file() -> Path:
    """The vocabulary inside open_clip_torch, found without importing it."""
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"v1's tokenizer needs CLIP's {VOCABULARY_FILE}: pip install 'uniperceiver[clip]', or give the path of the "
            "file (text.tokenizer in the YAML of a model, --vocabulary of convert)"
        )
    return Path(spec.origin).parent / VOCABULARY_FILE


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte, in CLIP's order: printable bytes first, then the others."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(others))]
