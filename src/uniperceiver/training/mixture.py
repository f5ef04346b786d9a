"""Which stream a step trains on: the unmixed sampling strategy of Sec. 4.4."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from uniperceiver.config import StreamConfig


class Mixture:
    """The sampling ratios s_k and scaling factors ω_k of Eq. (7), and the draw of one stream per step.

    The streams are the rows of Tab. 8. Nothing depends on the order in which they are given.
    """

    def __init__(self, streams: Mapping[str, StreamConfig], seed: int) -> None:
        if not streams:
            raise ValueError("a mixture needs at least one stream, got none")
        if seed < 0:
            raise ValueError(f"the seed must not be negative, got {seed}")
        self._names = tuple(sorted(streams))
        total = sum(stream.sampling_weight for stream in streams.values())
        self._ratios = {name: streams[name].sampling_weight / total for name in self._names}
        self._scales = {name: streams[name].scale for name in self._names}
        self._upper = np.cumsum([self._ratios[name] for name in self._names])
        self._seed = seed

    def stream_at(self, step: int) -> str:
        """The stream of a step (from 0), drawn with probability s_k of Eq. (7).

        A pure function of the seed and the step: all ranks agree without talking, and resuming needs no state.
        """
        draw = np.random.default_rng((self._seed, step)).random()
        # Rounding may leave the last bound a little below 1.
        return self._names[min(int(np.searchsorted(self._upper, draw, side="right")), len(self._names) - 1)]

    def sampling_ratio(self, name: str) -> float:
        """s_k of Eq. (7); the ratios of all streams add up to 1."""
        return self._ratios[self._known(name)]

    def scale(self, name: str) -> float:
        """ω_k of Eq. (7)."""
        return self._scales[self._known(name)]

    def _known(self, name: str) -> str:
        if name not in self._ratios:
            raise ValueError(f"no stream {name!r} in the mixture: it has {', '.join(self._names)}")
        return name
