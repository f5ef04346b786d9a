"""Loading: an endless, seeded, resumable stream of batches for training; all records once, in order, for evaluation."""

from __future__ import annotations

import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader

from uniperceiver.batches import padded_length
from uniperceiver.data.datasets import Dataset
from uniperceiver.data.datasets.webdataset import ShardedData
from uniperceiver.data.records import LabelledText, PairedText, Record, TextRecord, Video
from uniperceiver.data.transforms import Transform

Batch = TypeVar("Batch")
Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
Collate = Callable[[Sequence[Any]], Batch]

_ORDER, _RECORD, _BATCH = range(3)
"""What a seed is for: the order of an epoch, one record's transform, one batch's collation."""


class Numbered(Protocol[Item_co]):
    """Anything that gives items by number: a data set, `Batches`."""

    def __getitem__(self, index: int, /) -> Item_co: ...


class RecordError(ValueError):
    """A record that could not be read or transformed; the message names it and its data set."""


class LoadingProcessError(OSError):
    """A process that loads batches is gone."""


class Batches(Generic[Batch]):
    """Every batch of an endless training, by number.

    Batch k is a pure function of (seed, k, rank): a stream can begin anywhere, and the number of loading processes does
    not matter. Records are drawn without repetition within an epoch; a batch may reach over the end of an epoch, so
    none is left out. Ranks take turns in one common order. The records of one shard follow each other, mixed among
    themselves.

    ``transform`` and ``collate`` draw their randomness from torch's default generator, seeded for every record and
    every batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform: Transform,
        collate: Collate[Batch],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not len(dataset):
            raise ValueError(f"cannot train on an empty data set: {dataset!r}")
        self.dataset = dataset
        self.transform = transform
        self.collate = collate
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self._groups = dataset.shard_lengths if isinstance(dataset, ShardedData) else (len(dataset),)
        self._orders: dict[int, np.ndarray] = {}

    def __getitem__(self, number: int) -> Batch:
        turn = number * self.world_size + self.rank
        records = [self._record(place) for place in range(turn * self.batch_size, (turn + 1) * self.batch_size)]
        with seeded(self.seed, _BATCH, turn):
            return self.collate(records)

    def _record(self, place: int) -> Record:
        epoch, position = divmod(place, len(self.dataset))
        index = int(self._order(epoch)[position])
        with seeded(self.seed, _RECORD, epoch, index):
            return _read(self.dataset, index, self.transform)

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders = {kept: order for kept, order in self._orders.items() if kept == epoch - 1}
            self._orders[epoch] = epoch_order(self._groups, self.seed, epoch)
        return self._orders[epoch]


def endless(source: Numbered[Item], start: int = 0, workers: int = 0) -> Generator[Item, None, None]:
    """``source[start]``, ``source[start + 1]``, … without end, e.g. of `Batches`.

    ``workers`` processes load ahead, two batches each; they start with the first batch. 0: loading happens in this
    process when a batch is asked for. An error while loading a record is raised here, as the `RecordError` that names
    it.
    """
    yield from in_order(source, range(start, sys.maxsize), workers)


def in_order(source: Numbered[Item], indices: Sequence[int], workers: int) -> Iterator[Item]:
    """``source[i]`` for every i of ``indices``, in that order, computed by ``workers`` processes (0: by this one).

    Raises:
        RecordError: as ``source`` raised it, with the same message from another process as from this one.
        LoadingProcessError: a loading process died.
    """
    loader: DataLoader[Any] = DataLoader(
        _ErrorsAsItems(source),  # type: ignore[arg-type]
        batch_size=None,
        sampler=indices,
        num_workers=workers,
        collate_fn=_as_it_is,
        # A DataLoader takes a number from torch's default generator otherwise, and dropout would depend on `workers`.
        generator=torch.Generator(),
        worker_init_fn=_leave_signals_to_the_trainer,
    )
    for item in _alive(loader):
        if isinstance(item, RecordError):
            raise RecordError(*item.args) from item.__cause__
        yield item


def _leave_signals_to_the_trainer(worker: int) -> None:
    """Ctrl-C and schedulers signal the loading processes too, which must go on until training ends its step."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _alive(loader: DataLoader[Any]) -> Iterator[Any]:
    with naming_dead_processes():
        yield from loader


@contextmanager
def naming_dead_processes() -> Iterator[None]:
    """Within it the death of a loading process is a `LoadingProcessError`.

    torch reports it from a signal handler, as a RuntimeError wherever the program happens to be.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LoadingProcessError(
            f"a loading process died ({error}): often it was killed for memory, then lower `workers` or the batch sizes"
        ) from error


class _ErrorsAsItems:
    """A source whose `RecordError` is an item: raised in a worker, torch would bury it in a report of tracebacks."""

    def __init__(self, source: Numbered[Any]) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Any:
        try:
            return self.source[index]
        except RecordError as error:
            return error


def _as_it_is(item: Any) -> Any:
    return item


def evaluation_batches(
    dataset: Dataset,
    transform: Transform,
    collate: Collate[Batch],
    batch_size: int,
    workers: int = 0,
) -> Iterator[tuple[list[Record], Batch]]:
    """Every record once: the transformed records of a batch, and the batch.

    Records keep the data set's order among those that are padded to one size; only such share a batch, so a picture is
    padded in a batch as it is alone. Randomness in ``collate`` is seeded with the number of the batch, so that two
    evaluations are the same. ``workers`` processes load ahead, as in `in_order`.
    """
    for number, records in enumerate(_of_one_size(dataset, transform, batch_size, workers)):
        with seeded(_BATCH, 0, number):
            batch = collate(records)
        yield records, batch


def _of_one_size(dataset: Dataset, transform: Transform, batch_size: int, workers: int) -> Iterator[list[Record]]:
    waiting: defaultdict[tuple[int, ...], list[Record]] = defaultdict(list)
    reader = _Transformed(dataset, transform)
    for record in in_order(reader, range(len(dataset)), workers):
        size = _padded_size(record)
        waiting[size].append(record)
        if len(waiting[size]) == batch_size:
            yield waiting.pop(size)
    yield from waiting.values()


class _Transformed:
    """The records of a data set, transformed."""

    def __init__(self, dataset: Dataset, transform: Transform) -> None:
        self.dataset = dataset
        self.transform = transform

    def __getitem__(self, index: int) -> Record:
        with seeded(_RECORD, index):
            return _read(self.dataset, index, self.transform)


def epoch_order(groups: Sequence[int], seed: int, epoch: int) -> np.ndarray:
    """A permutation of all records (n,) int32 or int64, a pure function of its arguments.

    ``groups`` are the numbers of records that lie together, one after the other: groups come in random order, and so do
    the records of each group. One group is a plain shuffle.
    """
    random = np.random.default_rng((seed, _ORDER, epoch))
    ends = np.cumsum(groups)
    kind = np.int32 if ends[-1] <= np.iinfo(np.int32).max else np.int64
    return np.concatenate(
        [
            random.permutation(np.arange(ends[g] - groups[g], ends[g], dtype=kind))
            for g in random.permutation(len(groups))
        ]
    )


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Within it torch's default generator is seeded from ``key``, non-negative integers; afterwards it is as before."""
    state = torch.get_rng_state()
    # Not torch.manual_seed, which would seed the accelerators too, and their state is not put back.
    torch.default_generator.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _read(dataset: Dataset, index: int, transform: Transform) -> Record:
    try:
        return transform(dataset[index])
    except Exception as error:
        raise RecordError(f"record {index} of {dataset!r:.200}: {type(error).__name__}: {error}") from error


def _padded_size(record: Record) -> tuple[int, ...]:
    if isinstance(record, TextRecord | LabelledText | PairedText):
        return ()
    if isinstance(record, Video):
        return tuple(record.frames.shape)
    return tuple(padded_length(side) for side in record.image.shape[1:])
