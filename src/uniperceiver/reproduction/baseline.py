"""What every run of an ablation starts from, and how many steps each of its tasks gets."""

from __future__ import annotations

from dataclasses import dataclass

from uniperceiver.config import ConfigError, ImageEncoderConfig, ModelConfig, TaskKind, TrainConfig
from uniperceiver.training.mixture import Mixture


@dataclass(frozen=True)
class Baseline:
    """The joint training that the rows of the tables change: both image representations, Conditional MoE, MT-AdamW."""

    training: TrainConfig
    model: ModelConfig
    """What ``training.model`` names."""
    steps: int
    """Length of the joint training."""
    processes: int = 1
    """That train a run together; each takes its share of every batch, so that the joint batch stays the same."""

    def __post_init__(self) -> None:
        """Refuse a training that the rows cannot be made from.

        Raises:
            ConfigError: says what the training lacks.
        """
        image, streams = self.model.image, self.training.streams
        lacks = [
            (self.steps < 1 or self.processes < 1, "at least one step and one process"),
            (
                not isinstance(image, ImageEncoderConfig) or image.proposals is None or not image.global_tokens,
                "global and regional image representations (image.proposals, image.global_tokens)",
            ),
            (self.model.decoder.moe is None, "Conditional MoE (decoder.moe)"),
            (self.training.optimizer.name != "mt_adamw", "optimizer.name: mt_adamw"),
            (len(streams) < 2, "at least two streams"),
            (len({row.task.kind for row in streams.values()}) < len(streams), "one stream of a task, not several"),
            (any(row.evaluation is None for row in streams.values()), "evaluation data in every stream"),
        ]
        missing = [what for is_missing, what in lacks if is_missing]
        if missing:
            raise ConfigError(f"the training to reproduce tables with needs {'; '.join(missing)}")

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in alphabetical order."""
        return tuple(sorted(self.training.streams))

    def stream_of(self, task: TaskKind) -> str | None:
        """The stream that trains a task; None: there is none."""
        kinds = {row.task.kind: name for name, row in self.training.streams.items()}
        return kinds.get(task)

    def steps_of(self, streams: tuple[str, ...], seed: int) -> int:
        """How many steps of the joint training with this seed go to these streams.

        A run of these streams alone is as long, so that every task gets the steps it has in the joint training.

        Raises:
            ConfigError: one of the streams gets none.
        """
        mixture = Mixture(self.training.streams, seed)
        drawn = [mixture.stream_at(step) for step in range(self.steps)]
        starved = [name for name in streams if name not in drawn]
        if starved:
            raise ConfigError(f"of {self.steps} steps (seed {seed}) {', '.join(starved)} gets none: raise --steps")
        return sum(name in streams for name in drawn)
