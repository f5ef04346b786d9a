"""Encodings on disk: found again, never those of other weights, texts or tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import candidates as candidates_module
from uniperceiver.tasks import encoding_store
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.encoding_store import EncodingStore, checksums

ATTRIBUTES = TaskAttributes(input_image=True, input_text=False)
NAMES = ["red car", "dog", "a small green bicycle", "cat"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EncodingStore:
    monkeypatch.setattr(candidates_module, "WORTH_KEEPING", 3)
    return EncodingStore(tmp_path / "cache")


@pytest.fixture
def candidates(tokenizer: Tokenizer, store: EncodingStore) -> Callable[[list[str]], CandidateSet]:
    """Sets as a new process would make them."""

    def make(names: list[str]) -> CandidateSet:
        made = CandidateSet.from_texts(names, tokenizer)
        made.store = store
        return made

    return make


def files(store: EncodingStore) -> int:
    return len(list(store.folder.glob("*.safetensors")))


def test_a_second_run_encodes_nothing(
    model: UniPerceiver, candidates: Callable[[list[str]], CandidateSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        first = candidates(NAMES).encode(model, ATTRIBUTES)
        monkeypatch.setattr(model.f_text, "forward", None)
        torch.testing.assert_close(candidates(NAMES).encode(model, ATTRIBUTES), first, rtol=0, atol=0)


def test_other_weights_texts_tasks_and_precisions_are_kept_apart(
    model: UniPerceiver, candidates: Callable[[list[str]], CandidateSet], store: EncodingStore
) -> None:
    with torch.no_grad():
        first = candidates(NAMES).encode(model, ATTRIBUTES)
        candidates(NAMES[::-1]).encode(model, ATTRIBUTES)
        candidates(NAMES).encode(model, TaskAttributes(input_image=True, input_text=True))
        with torch.autocast("cpu"):
            candidates(NAMES).encode(model, ATTRIBUTES)
        assert files(store) == 4
        model.g.proj.weight[3, 2] += 1
        assert not torch.equal(candidates(NAMES).encode(model, ATTRIBUTES), first)
    assert files(store) == 5


def test_few_candidates_and_training_write_nothing(
    model: UniPerceiver, candidates: Callable[[list[str]], CandidateSet], store: EncodingStore
) -> None:
    candidates(NAMES).encode(model, ATTRIBUTES)
    with torch.no_grad():
        candidates(NAMES[:2]).encode(model, ATTRIBUTES)
    assert not store.folder.exists()


def test_a_damaged_file_is_replaced(
    model: UniPerceiver, candidates: Callable[[list[str]], CandidateSet], store: EncodingStore
) -> None:
    with torch.no_grad():
        first = candidates(NAMES).encode(model, ATTRIBUTES)
        (file,) = store.folder.glob("*.safetensors")
        file.write_bytes(b"cut off")
        torch.testing.assert_close(candidates(NAMES).encode(model, ATTRIBUTES), first)
    assert file.stat().st_size > 100


def test_a_folder_that_cannot_be_written_is_warned_about(
    model: UniPerceiver, candidates: Callable[[list[str]], CandidateSet], store: EncodingStore
) -> None:
    store.folder.write_text("a file where the folder should be")
    with torch.no_grad(), pytest.warns(UserWarning, match="UNIPERCEIVER_CACHE"):
        assert candidates(NAMES).encode(model, ATTRIBUTES).shape[0] == len(NAMES)


def test_old_files_go_first(store: EncodingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding_store, "MOST_FILES", 2)
    for name in ("a", "b"):
        store.keep(name, torch.ones(2, 2))
    assert store.find("a") is not None  # used last
    store.keep("c", torch.ones(2, 2))
    assert [store.find(name) is not None for name in ("a", "b", "c")] == [True, False, True]


def test_where_the_users_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNIPERCEIVER_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert EncodingStore.of_user().folder == tmp_path / "uniperceiver" / "encodings"
    monkeypatch.setenv("UNIPERCEIVER_CACHE", str(tmp_path / "own"))
    assert EncodingStore.of_user().folder == tmp_path / "own" / "encodings"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_checksums_see_the_smallest_change(dtype: torch.dtype) -> None:
    tensor = torch.randn(4, 6).to(dtype)
    before = checksums(tensor)
    assert checksums(tensor.clone()) == before
    tensor[2, 3] = tensor[2, 3].nextafter(torch.tensor(9.0, dtype=dtype))
    assert checksums(tensor) != before
    assert checksums(torch.tensor(1.0)) != checksums(torch.tensor(2.0))
