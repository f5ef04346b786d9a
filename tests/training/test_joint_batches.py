"""The batches of a joint training, by step."""

from __future__ import annotations

from uniperceiver.config import PlainTextConfig, Sampling, StreamConfig, TaskConfig
from uniperceiver.training.joint_batches import JointBatches, stream_seed
from uniperceiver.training.mixture import Mixture


class Numbers:
    """Batch k of a stream, told apart by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, number: int) -> str:
        return f"{self.name}{number}"


def joint(accumulate: int, sampling: Sampling = "unmixed") -> tuple[Mixture, JointBatches]:
    stream = StreamConfig(TaskConfig("masked_language_modeling"), PlainTextConfig("x"), 1, 1.0)
    mixture = Mixture({"a": stream, "b": stream}, seed=3, sampling=sampling)
    return mixture, JointBatches(mixture, {"a": Numbers("a"), "b": Numbers("b")}, accumulate)  # type: ignore[dict-item]


def test_every_stream_gives_its_batches_in_order_and_leaves_none_out() -> None:
    mixture, batches = joint(accumulate=2)
    given = [batch for step in range(50) for parts in batches[step].values() for batch in parts]
    for name in "ab":
        steps = sum(mixture.stream_at(step) == name for step in range(50))
        assert [b for b in given if b[0] == name] == [f"{name}{k}" for k in range(2 * steps)]


def test_a_step_has_the_same_batches_whatever_was_asked_before() -> None:
    _, in_order = joint(1)
    expected = [in_order[step] for step in range(30)]
    _, fresh = joint(1)
    assert fresh[29] == expected[29]
    assert fresh[7] == expected[7]
    assert fresh[8] == expected[8]


def test_mixed_steps_have_the_batches_of_every_stream() -> None:
    _, batches = joint(accumulate=2, sampling="mixed")
    assert batches[0] == {"a": ["a0", "a1"], "b": ["b0", "b1"]}
    assert batches[7] == {"a": ["a14", "a15"], "b": ["b14", "b15"]}


def test_streams_have_seeds_of_their_own() -> None:
    seeds = {stream_seed(seed, name) for seed in range(3) for name in ("captions", "retrieval")}
    assert len(seeds) == 6
