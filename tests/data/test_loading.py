from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uniperceiver.batches import ImageBatch
from uniperceiver.config import ImageFolderConfig, ImageSizeConfig
from uniperceiver.data.datasets.image_folder import ImageFolder
from uniperceiver.data.loading import Batches, RecordError, endless, epoch_order, evaluation_batches, seeded
from uniperceiver.data.records import LabelledImage, Record, TextRecord
from uniperceiver.data.transforms import train_transform, unchanged


def collate(records: Sequence[LabelledImage]) -> tuple[Tensor, list[str], Tensor]:
    """Pixels, ids, and a random number, as a task that masks words would draw it."""
    return torch.stack([record.image for record in records]), [record.image_id for record in records], torch.rand(3)


def ids(records: Sequence[LabelledImage]) -> list[str]:
    return [record.image_id for record in records]


def texts_of(records: Sequence[TextRecord]) -> list[str]:
    return [record.text for record in records]


@pytest.fixture
def dataset(image_folder: Path) -> ImageFolder:
    return ImageFolder(ImageFolderConfig(str(image_folder)))


CROP = train_transform("classification", ImageSizeConfig(train=8))


def take(batches: Iterator, number: int) -> list:
    return [next(batches) for _ in range(number)]


def same(a: Sequence, b: Sequence) -> bool:
    return len(a) == len(b) and all(
        x[1] == y[1] and torch.equal(x[0], y[0]) and torch.equal(x[2], y[2]) for x, y in zip(a, b, strict=True)
    )


def test_the_number_of_workers_changes_nothing(dataset: ImageFolder) -> None:
    expected = take(endless(Batches(dataset, CROP, collate, batch_size=4, seed=1)), 8)
    for workers in (1, 2):
        assert same(take(endless(Batches(dataset, CROP, collate, batch_size=4, seed=1), workers=workers), 8), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_resumes_where_it_stopped(dataset: ImageFolder, workers: int) -> None:
    whole = take(endless(Batches(dataset, CROP, collate, batch_size=3, seed=1)), 9)
    rest = take(endless(Batches(dataset, CROP, collate, batch_size=3, seed=1), workers=workers, start=4), 5)
    assert same(rest, whole[4:])


def test_the_seed_decides(dataset: ImageFolder) -> None:
    first, again, other = (take(endless(Batches(dataset, CROP, collate, batch_size=5, seed=s)), 2) for s in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def test_a_record_looks_different_in_every_epoch(dataset: ImageFolder) -> None:
    views = {}
    for pixels, names, _ in take(endless(Batches(dataset, CROP, collate, batch_size=10, seed=0)), 2):
        for name, view in zip(names, pixels, strict=True):
            views.setdefault(name, []).append(view)
    assert all(len(both) == 2 and not torch.equal(*both) for both in views.values())


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 23])
def test_every_epoch_has_every_record_once(dataset: ImageFolder, batch_size: int) -> None:
    batches = endless(Batches(dataset, CROP, ids, batch_size=batch_size, seed=3))
    drawn = [name for batch in take(batches, 60 // batch_size + 1) for name in batch]
    for epoch in range(len(drawn) // 10):
        assert len(set(drawn[10 * epoch : 10 * epoch + 10])) == 10
    assert drawn[:10] != drawn[10:20] or batch_size > 30


def test_ranks_share_one_order(dataset: ImageFolder) -> None:
    alone = Batches(dataset, CROP, ids, batch_size=2, seed=4)
    together = [Batches(dataset, CROP, ids, batch_size=2, seed=4, rank=r, world_size=2) for r in range(2)]
    assert [together[k % 2][k // 2] for k in range(10)] == [alone[k] for k in range(10)]


def test_ranks_collate_with_different_randomness(dataset: ImageFolder) -> None:
    draws = [Batches(dataset, CROP, collate, batch_size=2, seed=4, rank=r, world_size=2)[0][2] for r in range(2)]
    assert not torch.equal(*draws)


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_callers_randomness_alone(dataset: ImageFolder, workers: int) -> None:
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    take(endless(Batches(dataset, CROP, collate, batch_size=2, seed=0), workers=workers), 2)
    assert torch.equal(torch.rand(4), expected)


def test_workers_start_with_the_first_batch(dataset: ImageFolder) -> None:
    before = len(multiprocessing.active_children())
    batches = endless(Batches(dataset, CROP, ids, batch_size=2, seed=0), workers=2)
    assert len(multiprocessing.active_children()) == before
    next(batches)
    assert len(multiprocessing.active_children()) == before + 2


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_names_the_record(dataset: ImageFolder, image_folder: Path, workers: int) -> None:
    (image_folder / "dog" / "2.png").write_bytes(b"broken")
    batches = endless(Batches(dataset, CROP, ids, batch_size=10, seed=0), workers=workers)
    with pytest.raises(
        RecordError, match=r"^record 8 of image_folder .*classes.*ImageError: .*2\.png is not a picture"
    ):
        next(batches)


def test_an_empty_data_set_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty data set"):
        endless(Batches([], unchanged, texts_of, batch_size=1, seed=0))


def test_one_text_and_a_large_batch() -> None:
    assert Batches([TextRecord("a")], unchanged, texts_of, batch_size=5, seed=0)[3] == ["a"] * 5


def test_shards_stay_together_and_are_mixed_within() -> None:
    orders = [epoch_order((3, 4, 2), seed=0, epoch=e).tolist() for e in range(40)]
    assert all(sorted(order) == list(range(9)) for order in orders)
    shard = [0, 0, 0, 1, 1, 1, 1, 2, 2]
    for order in orders:
        runs = [shard[i] for k, i in enumerate(order) if k == 0 or shard[order[k - 1]] != shard[i]]
        assert sorted(runs) == [0, 1, 2]
    assert len({tuple(order) for order in orders}) > 35
    assert len({shard[order[0]] for order in orders}) == 3


def test_epoch_order_depends_on_seed_and_epoch_only() -> None:
    assert (epoch_order((50,), 1, 2) == epoch_order((50,), 1, 2)).all()
    assert (epoch_order((50,), 1, 2) != epoch_order((50,), 1, 3)).any()
    assert (epoch_order((50,), 1, 2) != epoch_order((50,), 2, 2)).any()


def test_seeded_restores_even_after_an_error() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with seeded(1, 2):
        first = torch.rand(1)
    with pytest.raises(RuntimeError), seeded(1, 2):
        torch.rand(1).reshape(2)
    assert torch.equal(torch.get_rng_state(), state)
    with seeded(1, 2):
        assert torch.equal(torch.rand(1), first)
    with seeded(1, 3):
        assert not torch.equal(torch.rand(1), first)


def pictures(*sizes: tuple[int, int]) -> list[Record]:
    return [
        LabelledImage(torch.randint(0, 256, (3, *size), dtype=torch.uint8), str(i), 0) for i, size in enumerate(sizes)
    ]


def same_record(record: Record) -> Record:
    return record


def to_pixels(records: Sequence[LabelledImage]) -> ImageBatch:
    return ImageBatch.from_images([record.image for record in records], (0.5,) * 3, (0.5,) * 3)


def test_evaluation_pads_a_picture_in_a_batch_as_alone() -> None:
    records = pictures((30, 40), (64, 64), (20, 33), (33, 20), (31, 64), (1, 1), (60, 50), (32, 64))
    seen = Counter()
    sizes = []
    for given, batch in evaluation_batches(records, same_record, to_pixels, 2):
        sizes.append(len(given))
        for row, record in enumerate(given):
            alone = to_pixels([record])
            assert torch.equal(batch.pixels[row], alone.pixels[0])
            assert torch.equal(batch.is_padding[row], alone.is_padding[0])
            seen[record.image_id] += 1
    assert seen == Counter(map(str, range(8)))
    assert sorted(sizes) == [1, 1, 2, 2, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_of_one_size_is_in_order(workers: int) -> None:
    records = pictures(*[(8, 8)] * 7)
    batches = list(evaluation_batches(records, same_record, ids, 3, workers=workers))
    assert [batch for _, batch in batches] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert [ids(given) for given, _ in batches] == [batch for _, batch in batches]


def test_evaluation_is_the_same_twice() -> None:
    records = pictures(*[(8, 8)] * 5)
    first, second = ([b for _, b in evaluation_batches(records, same_record, collate, 2)] for _ in range(2))
    assert same(first, second)


def test_evaluation_of_texts_and_of_nothing() -> None:
    records = [TextRecord("a"), TextRecord("b")]
    assert [batch for _, batch in evaluation_batches(records, unchanged, texts_of, 8)] == [["a", "b"]]
    assert list(evaluation_batches([], unchanged, texts_of, 8)) == []


def test_three_ranks_of_two_loading_processes_repeat_and_lose_nothing(dataset: ImageFolder) -> None:
    """Ten records, six a step: five steps are three whole epochs."""
    ranks = [
        take(endless(Batches(dataset, CROP, ids, batch_size=2, seed=5, rank=r, world_size=3), workers=2), 5)
        for r in range(3)
    ]
    in_order = [name for step in range(5) for rank in ranks for name in rank[step]]
    for epoch in range(3):
        assert len(set(in_order[10 * epoch : 10 * epoch + 10])) == 10
