"""What a server accepts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf


@dataclass(frozen=True)
class Limits:
    """Bounds of a single request and of all that wait. ValueError for one that is not above zero, or infinite."""

    upload_bytes: int = 16 * 2**20
    """Largest body of a request; also the largest picture fetched from an address."""
    pixels: int = 16_000_000
    """Largest picture, by its header, or frame. A detection may hold a byte for each pixel and found object."""
    video_frames: int = 6_000
    """Longest video: three minutes, or as much of them as can be decoded in ``seconds``."""
    labels: int = 2_000
    """Most labels, answers or texts in a request; LVIS has 1,203 names."""
    text_characters: int = 1_000
    """Longest single text."""
    all_characters: int = 60_000
    """Longest all texts of a request together: reading them is work, which a time-out does not stop."""
    queue: int = 64
    """Requests that may wait for the model."""
    seconds: float = 30.0
    """Longest that a request may take to arrive, and again to be answered."""
    batch: int = 8
    """Requests of a verb that are computed together."""
    window_seconds: float = 0.005
    """Longest that a request waits for others to share its batch."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < inf:
                raise ValueError(f"the limit {field.name} must be above 0 and finite, got {value}")
