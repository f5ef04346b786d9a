"""Checks of captions, questions and other texts."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from uniperceiver.data.doctor.diagnosis import Diagnosis
from uniperceiver.data.doctor.kinds import Kind

LONGEST = 100
"""Words beyond which a text is called long; the longest position of the text encoders is 512 tokens."""
_MANY_IMAGES = 10
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|&[a-z]{2,6};|&#\d+;|https?://|www\.")
_GARBLED = re.compile(r"\ufffd|[ÃÂ][\u0080-\u00bf]|â€")
"""UTF-8 read as Latin-1 or Windows-1252 shows these pairs."""


class TextCheck:
    """Looks at the texts of one file, one by one."""

    def __init__(self, source: Path, diagnosis: Diagnosis) -> None:
        self.source = source
        self.diagnosis = diagnosis
        self._images_of: Counter[str] = Counter()

    def look_at(self, text: str, where: str) -> None:
        """One text; ``where`` says which."""
        if not text.strip():
            self.diagnosis.add(Kind.EMPTY_TEXT, self.source, where)
            return
        if len(text.split()) > LONGEST:
            self.diagnosis.add(Kind.LONG_TEXT, self.source, f"{where} has {len(text.split())} words")
        if _GARBLED.search(text):
            self.diagnosis.add(Kind.GARBLED_TEXT, self.source, f"{where}: {text[:60]!r}")
        if _MARKUP.search(text):
            self.diagnosis.add(Kind.MARKUP, self.source, f"{where}: {text[:60]!r}")

    def look_at_captions(self, captions: list[str], where: str) -> None:
        """All captions of one image."""
        if not captions:
            self.diagnosis.add(Kind.NO_TEXT, self.source, where)
        for number, caption in enumerate(captions, start=1):
            self.look_at(caption, f"caption {number} of {where}" if len(captions) > 1 else where)
        plain = Counter(" ".join(caption.lower().split()) for caption in captions)
        for caption, times in plain.items():
            if caption and times > 1:
                self.diagnosis.add(Kind.REPEATED_TEXT, self.source, f"{where}: {caption[:60]!r}")
        self._images_of.update(caption for caption in plain if caption)

    def finish(self) -> None:
        """Name the texts that very many images share."""
        for caption, images in self._images_of.most_common():
            if images < _MANY_IMAGES:
                return
            self.diagnosis.add(Kind.FREQUENT_TEXT, self.source, f"{images} images: {caption[:60]!r}")


def read_text(path: Path, diagnosis: Diagnosis) -> str:
    """A file's text; bytes that are not UTF-8 are a finding and are left out."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        diagnosis.add(Kind.NOT_UTF8, path, f"line {line}: byte {content[error.start]:#04x}")
        return content.decode("utf-8", errors="ignore")
