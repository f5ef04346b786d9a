"""The batches of a joint training by step, so that one set of loading processes serves all streams."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

from uniperceiver.data.loading import Batches
from uniperceiver.training.mixture import Mixture


class JointBatches:
    """Step t → by name, the ``accumulate`` batches of each stream that the mixture trains at t.

    A pure function of the step, as `Mixture.streams_at` and `Batches` are: a training goes on at any step with the data
    it would have had, and the number of loading processes does not matter.
    """

    def __init__(self, mixture: Mixture, streams: Mapping[str, Batches[Any]], accumulate: int) -> None:
        self._mixture = mixture
        self._streams = dict(streams)
        self._accumulate = accumulate
        self._drawn: Counter[str] = Counter()
        self._counted = 0

    def __getitem__(self, step: int) -> dict[str, list[Any]]:
        drawn = self._draws_before(step)
        return {
            name: [self._streams[name][drawn[name] * self._accumulate + part] for part in range(self._accumulate)]
            for name in self._mixture.streams_at(step)
        }

    def _draws_before(self, step: int) -> Counter[str]:
        """How often each stream is drawn before a step; steps are asked for in rising order, so little is counted."""
        if step < self._counted:
            self._drawn, self._counted = Counter(), 0
        for earlier in range(self._counted, step):
            self._drawn.update(self._mixture.streams_at(earlier))
        self._counted = step
        return self._drawn


def stream_seed(seed: int, name: str) -> int:
    """A seed of a stream's own: streams on the same data would otherwise show the same crops in the same order."""
    return zlib.crc32(f"{seed} {name}".encode())
