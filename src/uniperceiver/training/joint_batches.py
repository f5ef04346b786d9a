"""The batches of a joint training by step, so that one set of loading processes serves all streams."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from uniperceiver.data.loading import Batches
from uniperceiver.training.mixture import Mixture


class JointBatches:
    """Step t → the ``accumulate`` batches of the stream that the mixture draws at t.

    A pure function of the step, as `Mixture.stream_at` and `Batches` are: a training goes on at any step with the data
    it would have had, and the number of loading processes does not matter.
    """

    def __init__(self, mixture: Mixture, streams: Mapping[str, Batches[Any]], accumulate: int) -> None:
        self._mixture = mixture
        self._streams = dict(streams)
        self._accumulate = accumulate
        self._drawn: Counter[str] = Counter()
        self._counted = 0

    def __getitem__(self, step: int) -> list[Any]:
        name = self._mixture.stream_at(step)
        first = self._draws_before(step)[name] * self._accumulate
        return [self._streams[name][first + part] for part in range(self._accumulate)]

    def _draws_before(self, step: int) -> Counter[str]:
        """How often each stream is drawn before a step; steps are asked for in rising order, so little is counted."""
        if step < self._counted:
            self._drawn, self._counted = Counter(), 0
        self._drawn.update(self._mixture.stream_at(earlier) for earlier in range(self._counted, step))
        self._counted = step
        return self._drawn


def stream_seed(seed: int, name: str) -> int:
    """A seed of a stream's own: streams on the same data would otherwise show the same crops in the same order."""
    return zlib.crc32(f"{seed} {name}".encode())
