"""Annotations kept compactly: one JSON row per record, in one buffer."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable
from typing import Any


class JsonRows:
    """Rows of plain data, parsed when asked for.

    Python objects would take several times the memory, and reading them in a forked loading process would copy it, page
    by page, because reading changes their reference counts.
    """

    def __init__(self, rows: Iterable[Any]) -> None:
        """Pack ``rows``, each anything that JSON can hold."""
        buffer = bytearray()
        self._ends = array("q")
        for row in rows:
            text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
            buffer += text.encode(errors="surrogatepass")  # names of files may hold bytes that are not UTF-8
            self._ends.append(len(buffer))
        self._buffer = bytes(buffer)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self._ends):
            raise IndexError(f"record {index} of {len(self._ends)}")
        return json.loads(self._buffer[self._ends[index - 1] if index else 0 : self._ends[index]])
