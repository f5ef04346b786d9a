"""Texts: the lines of a file, or the captions of a Karpathy JSON."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from uniperceiver.config import FoldConfig, PlainTextConfig
from uniperceiver.data.datasets.annotation_files import DatasetError, is_in_fold
from uniperceiver.data.datasets.json_rows import JsonRows
from uniperceiver.data.datasets.karpathy_captions import captions_of, read_karpathy
from uniperceiver.data.records import TextRecord


class PlainText:
    """One text per record, in file order; with ``packed_words`` those behind it as well."""

    def __init__(self, config: PlainTextConfig) -> None:
        """Index a UTF-8 text file (blank lines are no texts), or a ``.json`` file's captions of ``splits``.

        Raises:
            DatasetError: no such file, no text in it, or ``splits`` missing for a JSON or given for lines.
        """
        self.source = Path(config.path)
        is_json = self.source.suffix == ".json"
        if is_json and not config.splits:
            raise DatasetError(f"{self.source} is a JSON file of captions: say which splits to read, e.g. [train]")
        if not is_json and config.splits:
            raise DatasetError(
                f"{self.source} is not a .json file: only a Karpathy JSON has splits, got {config.splits}"
            )
        self._texts = (
            JsonRows(_captions(self.source, config.splits or (), config.fold))
            if is_json
            else Lines(self.source, config.fold)
        )
        if not len(self._texts):
            raise DatasetError(f"{self.source} holds no text")
        self._packed_words = config.packed_words

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> TextRecord:
        text = self._texts[index]
        return TextRecord(text, self._following(index, text))

    @property
    def is_packed(self) -> bool:
        """Whether a record may be several texts."""
        return self._packed_words is not None

    def _following(self, index: int, text: str) -> tuple[str, ...] | None:
        """The texts behind one that has too few words; every text has a word, so there are enough in the end."""
        if self._packed_words is None:
            return None
        missing = self._packed_words - len(text.split())
        following: list[str] = []
        while missing > 0:
            index = (index + 1) % len(self)
            following.append(self._texts[index])
            missing -= len(following[-1].split())
        return tuple(following)

    def texts(self) -> Iterator[str]:
        """Every text."""
        return (self._texts[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"plain_text {self.source} ({len(self)} texts)"


class Lines:
    """The lines of a UTF-8 file that are not blank, read when asked for; only where they begin is kept in memory."""

    def __init__(self, path: Path, fold: FoldConfig | None = None) -> None:
        """Find the lines of ``path`` that belong to ``fold``.

        Raises:
            DatasetError: no such file.
        """
        self.path = path
        self._starts = array("q")
        start = number = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    if line.strip():
                        if is_in_fold(number, fold):
                            self._starts.append(start)
                        number += 1
                    start += len(line)
        except OSError as error:
            raise DatasetError(f"cannot read the text file {path}: {error.strerror}") from None

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self._starts):
            raise IndexError(f"record {index} of {len(self._starts)}")
        with self.path.open("rb") as file:
            file.seek(self._starts[index])
            line = file.readline()
        try:
            return line.decode("utf-8" if self._starts[index] else "utf-8-sig").strip()
        except UnicodeDecodeError as error:
            offset = self._starts[index] + error.start
            raise DatasetError(f"{self.path} is not UTF-8 at byte {offset}: convert the file to UTF-8") from None


def _captions(path: Path, splits: tuple[str, ...], fold: FoldConfig | None) -> Iterator[str]:
    for index, entry in enumerate(read_karpathy(path, splits)):
        if is_in_fold(index, fold):
            yield from captions_of(entry, path)
