"""Candidates: order, chunks, sampling, caches, errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uniperceiver.batches import TextBatch
from uniperceiver.config import ModelConfig
from uniperceiver.data.tokenizer import Tokenizer
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks import candidates as candidates_module
from uniperceiver.tasks.candidates import CandidateSet

ATTRIBUTES = TaskAttributes(input_image=True, input_text=False)
NAMES = ["the red table on the road", "dog", "a small green bicycle", "cat", "two birds", "tree", "man"]


def one_by_one(model: UniPerceiver, names: list[str], tokenizer: Tokenizer) -> torch.Tensor:
    rows = []
    for name in names:
        text = TextBatch.from_ids([tokenizer.encode(name)], tokenizer.padding_id)
        rows.append(model.decode(model.encode_text(text), attributes=ATTRIBUTES, side="target").spe[0])
    return torch.stack(rows)


@pytest.mark.parametrize("budget", [1, 20, 10_000])
def test_encodings_are_those_of_every_text_alone(
    model: UniPerceiver, tokenizer: Tokenizer, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sorting by length, chunks and padding leave no trace."""
    monkeypatch.setattr(candidates_module, "TOKENS_PER_CHUNK", budget)
    with torch.no_grad():
        encoded = CandidateSet.from_texts(NAMES, tokenizer).encode(model, ATTRIBUTES)
        torch.testing.assert_close(encoded, one_by_one(model, NAMES, tokenizer), atol=1e-5, rtol=1e-5)


def test_a_subset_is_rows_of_the_whole(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(NAMES, tokenizer)
    index = torch.tensor([0, 2, 3, 6])
    with torch.no_grad():
        part = candidates.encode(model, ATTRIBUTES, index)
        torch.testing.assert_close(part, candidates.encode(model, ATTRIBUTES)[index], atol=1e-5, rtol=1e-5)


def test_in_training_a_candidate_is_called_by_any_of_its_names(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    """Spec, section 4: one synonym drawn at random per batch; in evaluation the first name."""
    synonyms = [["two dogs"], [], ["a red car", "tree", "grass"]]
    names = [[text, *others] for text, others in zip(NAMES, synonyms, strict=False)]
    candidates = CandidateSet.from_texts(NAMES[:3], tokenizer, synonyms)
    assert candidates.texts == tuple(NAMES[:3])
    assert len(candidates) == 3
    with torch.no_grad():
        expected = [one_by_one(model, called, tokenizer) for called in names]
        first = torch.stack([rows[0] for rows in expected])
        torch.testing.assert_close(candidates.encode(model, ATTRIBUTES), first, atol=1e-5, rtol=1e-5)
        model.train()
        drawn: list[set[int]] = [set(), set(), set()]
        for seed in range(24):
            torch.manual_seed(seed)
            index = torch.tensor([0, 2]) if seed % 2 else None
            encoded = candidates.encode(model, ATTRIBUTES, index)
            for place, row in zip([0, 1, 2] if index is None else [0, 2], encoded, strict=True):
                distances = (expected[place] - row).abs().amax(dim=1)
                assert distances.min() < 1e-5
                drawn[place].add(int(distances.argmin()))
    assert drawn == [{0, 1}, {0}, {0, 1, 2, 3}]


def test_a_synonym_that_is_too_long_is_named(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(["dog"], tokenizer, [["dog " * 100]])
    with pytest.raises(ValueError, match="candidate 'dog dog"):
        candidates.encode(model, ATTRIBUTES)


def test_1203_names_get_1203_different_encodings(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    words = ["a", "red", "car", "beside", "green", "tree", "two", "dogs", "run", "on", "the", "grass"]
    names = [f"{words[i % 12]} {words[i // 12 % 12]} {words[i // 144]}" for i in range(1203)]
    with torch.no_grad():
        encoded = CandidateSet.from_texts(names, tokenizer).encode(model, ATTRIBUTES)
    assert encoded.shape == (1203, model.config.decoder.width)
    assert len(encoded.unique(dim=0)) == 1203


def test_one_candidate_per_token(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.end_id, *tokenizer.encode("red car", special=False)]
    candidates = CandidateSet.from_token_ids(ids, tokenizer)
    assert candidates.token_ids == tuple(ids)
    assert candidates.texts[1:] == tuple(tokenizer.decode([index]) for index in ids[1:])
    assert len(candidates) == len(ids)


def test_a_sample_has_all_targets_and_others(tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(NAMES, tokenizer)
    targets = torch.tensor([[6, 2], [2, 0]])
    drawn = candidates.sample(targets, 2, torch.Generator().manual_seed(0))
    assert drawn.index is not None
    assert len(drawn.index) == 5
    assert drawn.index.tolist() == sorted(set(drawn.index.tolist()))
    assert torch.equal(drawn.index[drawn.targets], targets)
    again = candidates.sample(targets, 2, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.index, again.index)
    others = {
        tuple(candidates.sample(targets, 2, torch.Generator().manual_seed(seed)).index.tolist()) for seed in range(20)
    }
    assert len(others) > 1


def test_a_sample_without_targets_or_beyond_the_set(tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(NAMES, tokenizer)
    nothing = torch.zeros(0, dtype=torch.int64)
    assert len(candidates.sample(nothing, 3).index) == 3
    assert candidates.sample(torch.tensor([1]), 100).index.tolist() == list(range(len(NAMES)))
    assert candidates.draw(torch.tensor([1]), None).index is None


def test_evaluation_encodes_once_until_the_weights_change(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(NAMES, tokenizer)
    with torch.no_grad():
        first = candidates.encode(model, ATTRIBUTES)
        assert candidates.encode(model, ATTRIBUTES) is first
        other = TaskAttributes(input_image=True, input_text=True)
        assert not torch.equal(candidates.encode(model, other), first)
        assert candidates.encode(model, ATTRIBUTES) is first
        model.g.proj.bias.add_(1.0)
        second = candidates.encode(model, ATTRIBUTES)
        torch.testing.assert_close(second, one_by_one(model, NAMES, tokenizer), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(second, first)


def test_an_optimiser_step_or_other_weights_are_noticed(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(NAMES, tokenizer)
    with torch.no_grad():
        before = candidates.encode(model, ATTRIBUTES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    candidates.encode(model, ATTRIBUTES).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        after = candidates.encode(model, ATTRIBUTES)
        assert not torch.allclose(before, after)
        model.load_state_dict({name: torch.zeros_like(value) for name, value in model.state_dict().items()})
        assert not candidates.encode(model, ATTRIBUTES).any()


def test_training_encodes_anew_with_gradient(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(NAMES, tokenizer)
    model.train()
    encoded = candidates.encode(model, ATTRIBUTES)
    encoded.sum().backward()
    assert model.f_text.embedding.words.weight.grad is not None
    assert candidates.encode(model, ATTRIBUTES) is not encoded


def test_a_frozen_text_encoder_is_run_once(
    tiny_model_config: ModelConfig, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_model_config, text=replace(tiny_model_config.text, frozen=True))
    model = UniPerceiver(config).eval()
    candidates = CandidateSet.from_texts(NAMES, tokenizer)
    runs = []
    hidden = model.f_text.hidden
    monkeypatch.setattr(model.f_text, "hidden", lambda text: runs.append(text.size) or hidden(text))
    first = candidates.encode(model, ATTRIBUTES)
    assert sum(runs) == len(NAMES)
    first.sum().backward()
    assert model.f_text.projection.weight.grad is not None
    assert model.f_text.embedding.words.weight.grad is None
    index = torch.tensor([1, 0, 5])
    torch.testing.assert_close(candidates.encode(model, ATTRIBUTES, index), first[index], atol=1e-5, rtol=1e-5)
    assert sum(runs) == len(NAMES)
    torch.testing.assert_close(first, one_by_one(model, NAMES, tokenizer), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        model.f_text.embedding.words.weight.mul_(2.0)
    changed = candidates.encode(model, ATTRIBUTES)
    torch.testing.assert_close(changed, one_by_one(model, NAMES, tokenizer), atol=1e-5, rtol=1e-5)


def test_a_name_beyond_the_positions_is_an_error(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    candidates = CandidateSet.from_texts(["dog", "a red car " * 20], tokenizer)
    with pytest.raises(ValueError, match=r"62 tokens but the text encoder only 40 positions"):
        candidates.encode(model, ATTRIBUTES)


def test_no_candidates_is_an_error(model: UniPerceiver, tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="candidate set is empty"):
        CandidateSet.from_texts([], tokenizer).encode(model, ATTRIBUTES)


def test_a_model_made_in_inference_mode(tokenizer: Tokenizer, tiny_model_config: ModelConfig) -> None:
    with torch.inference_mode():
        model = UniPerceiver(tiny_model_config).eval()
        candidates = CandidateSet.from_texts(NAMES, tokenizer)
        assert candidates.encode(model, ATTRIBUTES) is candidates.encode(model, ATTRIBUTES)
