"""The encodings of candidates, split over three processes that their number does not divide by, or too few to split."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from uniperceiver.config import ModelConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import candidates
from uniperceiver.tasks.candidates import CandidateSet

NAMES = ["red car", "blue ball", "a cat", "two dogs", "tree", "the man", "yes"]
ATTRIBUTES = TaskAttributes(input_image=True, input_text=False)


def encodings_and_gradient(model: UniPerceiver, names: CandidateSet) -> tuple[torch.Tensor, torch.Tensor]:
    """All encodings, and what a sum that weighs every one otherwise asks of f_text."""
    model.zero_grad()
    encoded = names.encode(model, ATTRIBUTES)
    (encoded * torch.linspace(-1, 1, encoded.numel()).reshape(encoded.shape)).sum().backward()
    gradient = model.f_text.embedding.words.weight.grad
    assert gradient is not None
    return encoded.detach(), gradient


def work(rank: int, folder: Path, model: UniPerceiver, names: CandidateSet) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=3)
    encoded, gradient = encodings_and_gradient(model, names)
    dist.all_reduce(gradient)  # as data parallelism does, with the mean
    torch.save((encoded, gradient / 3), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("number", [7, 2])
def test_three_processes_encode_what_one_does_with_its_gradient(
    number: int, tiny_model_config: ModelConfig, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "SHARED_FROM", 1)
    torch.manual_seed(0)
    model = UniPerceiver(tiny_model_config).eval()
    names = CandidateSet.from_texts(NAMES[:number], tokenizer)
    expected, gradient = encodings_and_gradient(model, names)
    torch.set_num_threads(1)  # threads do not survive a fork
    mp.start_processes(work, (tmp_path, model, names), nprocs=3, start_method="fork")
    for rank in range(3):
        encoded, given = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(encoded, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(given, gradient, rtol=1e-3, atol=1e-5)
