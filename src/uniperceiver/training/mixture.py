"""Which streams a step trains on: the sampling strategies of Sec. 4.4."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from uniperceiver.config import Sampling, StreamConfig


class Mixture:
    """The sampling ratios s_k and scaling factors ω_k of Eq. (7), and which streams a step trains.

    Unmixed sampling draws one stream per step, mixed sampling takes a share of all. The expected gradient and the
    expected number of examples of a step are the same in both, but for rounding and the least batch. The streams are
    the rows of Tab. 8. Nothing depends on the order in which they are given.
    """

    def __init__(self, streams: Mapping[str, StreamConfig], seed: int, sampling: Sampling = "unmixed") -> None:
        if not streams:
            raise ValueError("a mixture needs at least one stream, got none")
        if seed < 0:
            raise ValueError(f"the seed must not be negative, got {seed}")
        self._names = tuple(sorted(streams))
        total = sum(stream.sampling_weight for stream in streams.values())
        self._ratios = {name: streams[name].sampling_weight / total for name in self._names}
        self._scales = {name: streams[name].scale for name in self._names}
        self._batch_sizes = {name: streams[name].batch_size for name in self._names}
        self._upper = np.cumsum([self._ratios[name] for name in self._names])
        self._seed = seed
        self._is_mixed = sampling == "mixed"

    def streams_at(self, step: int) -> tuple[str, ...]:
        """The streams that a step (from 0) trains: the one that is drawn, or with mixed sampling all of them."""
        return self._names if self._is_mixed else (self.stream_at(step),)

    def stream_at(self, step: int) -> str:
        """Unmixed sampling: the stream of a step (from 0), drawn with probability s_k of Eq. (7).

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

    def loss_weight(self, name: str) -> float:
        """What multiplies a stream's loss so that the expected loss of a step is Eq. (7): ω_k; mixed, s_k ω_k.

        Unmixed sampling has s_k in the draw.
        """
        return self.scale(name) * (self.sampling_ratio(name) if self._is_mixed else 1.0)

    def batch_size(self, name: str) -> int:
        """Examples of a stream in a batch, per process: B_k of the configuration; mixed, its share s_k B_k.

        Paper: says only that mixing "limits the batch-size of each task". Shares are rounded, and at least two (if B_k
        is): one pair alone has nothing to be told apart from in retrieval.
        """
        whole = self._batch_sizes[self._known(name)]
        return min(whole, max(2, round(whole * self._ratios[name]))) if self._is_mixed else whole

    def _known(self, name: str) -> str:
        if name not in self._ratios:
            raise ValueError(f"no stream {name!r} in the mixture: it has {', '.join(self._names)}")
        return name
