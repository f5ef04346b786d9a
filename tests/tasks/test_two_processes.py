"""Two processes compute what one computes: gathered negatives, shared encoding of large candidate sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from uniperceiver.data.records import CaptionedImage, TextRecord
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import build_task, candidates, find_candidates
from uniperceiver.tasks.masked_language_modeling import MaskedLanguageModelingTask
from uniperceiver.tasks.retrieval import RetrievalTask

CAPTIONS = ["a red car", "two dogs run on the grass", "a blue ball .", "two dogs run on the grass"]


def losses_and_gradient(
    model: UniPerceiver,
    retrieval: RetrievalTask,
    language: MaskedLanguageModelingTask,
    records: list[CaptionedImage],
    rows: slice,
) -> tuple[dict[str, Tensor], Tensor]:
    """The losses of some of the records, and the gradient of their sum at f_text and g."""
    losses = retrieval.loss(model, retrieval.collate(records[rows]))
    texts = [TextRecord("a [MASK] car")] * 4
    batch = language.collate(texts[rows])
    batch.targets[batch.is_read] = torch.tensor([3, 1, 2, 5])[rows]
    losses |= language.loss(model, batch)
    torch.stack(list(losses.values())).sum().backward()
    gradients = [p.grad.flatten() for p in [*model.f_text.parameters(), *model.g.parameters()] if p.grad is not None]
    return {name: loss.detach() for name, loss in losses.items()}, torch.cat(gradients)


def own_negatives(rank: int, folder: Path, model: UniPerceiver, retrieval: RetrievalTask, batches: list) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(retrieval.loss(model, batches[rank]), folder / f"{rank}.pt")
    dist.destroy_process_group()


def work(rank: int, folder: Path, arguments: tuple) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    losses, gradient = losses_and_gradient(*arguments, slice(2 * rank, 2 * rank + 2))
    torch.save((losses, gradient), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one(
    model: UniPerceiver, setting: Callable, picture: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "SHARED_FROM", 1)
    tasks = []
    for kind in ("retrieval", "masked_language_modeling"):
        chosen = setting(kind=kind)
        tasks.append(build_task(chosen, find_candidates(chosen, None)))
    records = [CaptionedImage(picture((60 * i, 90, 40)), f"{i}", (caption,)) for i, caption in enumerate(CAPTIONS)]
    mp.start_processes(work, (tmp_path, (model, *tasks, records)), nprocs=2, start_method="fork")
    losses, gradient = losses_and_gradient(model, *tasks, records, slice(0, 4))
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name, loss in losses.items():
        torch.testing.assert_close((parts[0][0][name] + parts[1][0][name]) / 2, loss)
    torch.testing.assert_close((parts[0][1] + parts[1][1]) / 2, gradient, atol=1e-5, rtol=1e-3)


def test_negatives_that_are_not_gathered_are_those_of_the_own_process(
    model: UniPerceiver, setting: Callable, picture: Callable, tmp_path: Path
) -> None:
    """Tab. 4 without "Gather Feature": every process has the losses that it would have alone."""
    chosen = setting(kind="retrieval", gather_negatives=False)
    retrieval = RetrievalTask(chosen, find_candidates(chosen, None))
    records = [CaptionedImage(picture((60 * i, 90, 40)), f"{i}", (caption,)) for i, caption in enumerate(CAPTIONS)]
    batches = [retrieval.collate(records[:2]), retrieval.collate(records[2:])]
    model.requires_grad_(False)  # losses without a graph can be saved
    mp.start_processes(own_negatives, (tmp_path, model, retrieval, batches), nprocs=2, start_method="fork")
    for rank, batch in enumerate(batches):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), retrieval.loss(model, batch))
