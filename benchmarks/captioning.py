"""Captions of v2 with kept keys and values, beside the same model without and beside transformers' GIT-base.

    python benchmarks/captioning.py

`resnet50` (RoBERTa-base reads, g of six layers writes, a vocabulary of 50,265) on pictures of 224 pixels, greedy,
20 words; random weights, and no end, so that every caption has 20. Pictures are encoded before, for ours and for the
peer. Without a cache every step feeds <SPE> ‖ picture ‖ words so far ‖ slot; both must find the same words.
A step's bound is the time to read the weights that it needs once, at the bandwidth measured beside it.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from measuring import Row, arguments, best_seconds, keep_heap, read_bandwidth, report
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import load_config
from uniperceiver.likelihood import log_likelihood, log_likelihood_of_units, unit_vectors
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.segments import Segment, TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver

CAPTION = TaskAttributes(input_image=True, input_text=True)
WORDS = 20
SLOT = 50264


class Captioner:
    """Our two ways to write; the words are those of the tokenizer, the vocabulary's encodings random."""

    def __init__(self, preset: str, pictures: int, causal_layers: int | None) -> None:
        config = load_config(preset)
        torch.manual_seed(0)
        self.model = UniPerceiver(replace(config, text=replace(config.text, causal_layers=causal_layers))).eval()
        self.vocabulary = torch.randn(config.text.vocabulary_size, config.decoder.width)
        self.units = unit_vectors(self.vocabulary)
        is_padding = torch.zeros(pictures, 224, 224, dtype=torch.bool)
        images = ImageBatch(torch.randn(pictures, 3, 224, 224), is_padding)
        self.features = self.model.encode_image(images).segment
        self.pictures = pictures

    def text(self, words: list[Tensor], start: int) -> TextBatch:
        """Words from place ``start`` and the slot after the last."""
        slot = torch.full((self.pictures,), SLOT)
        ids = torch.stack([*words[start:], slot], dim=1)
        is_slot = torch.zeros_like(ids, dtype=torch.bool)
        is_slot[:, -1] = True
        positions = torch.arange(start, start + ids.shape[1]).expand_as(ids)
        return TextBatch(ids, torch.zeros_like(is_slot), positions, is_slot, causal=True)

    def cached(self) -> Tensor:
        """Each step feeds the last word and the next slot."""
        text_cache, cache = KeyValues(), self.model.prefill(self.features, attributes=CAPTION)
        words: list[Tensor] = []
        for place in range(WORDS):
            word, text_cache, cache = self.step(words, max(place - 1, 0), text_cache, cache)
            words.append(word)
        return torch.stack(words, dim=1)

    def step(
        self, words: list[Tensor], start: int, text_cache: KeyValues, cache: KeyValues
    ) -> tuple[Tensor, KeyValues, KeyValues]:
        """The next word (B,), and the caches with the words from ``start`` on."""
        segment, text_cache = self.model.f_text.step(self.text(words, start), text_cache)
        decoded, cache = self.model.g.step(segment, CAPTION, cache)
        found = log_likelihood_of_units(decoded[:, -1], self.units, self.model.temperature()).argmax(dim=-1)
        return found, text_cache, cache

    def whole(self) -> Tensor:
        """Each step feeds everything again."""
        words: list[Tensor] = []
        for _ in range(WORDS):
            segment: Segment = self.model.encode_text(self.text(words, 0))
            decoded = self.model.decode(self.features, segment, attributes=CAPTION).segments[1]
            likely = log_likelihood(decoded[:, -1], self.vocabulary, self.model.temperature())
            words.append(likely.argmax(dim=-1))
        return torch.stack(words, dim=1)

    def bytes_of_a_step(self) -> int:
        """Weights that a step reads: layers of f_text and g (experts merged), the read-out and the vocabulary."""
        causal = self.model.f_text.config.causal_layers
        layers = self.model.f_text.layers[:causal] if causal is not None else self.model.f_text.layers
        parameters = sum(p.numel() for p in layers.parameters()) + self.model.g.deployed_parameters()
        return 4 * (parameters + self.units.numel())


class Git:
    """transformers' GIT-base: its own greedy search with its own cache, the picture encoded before the words."""

    def __init__(self, pictures: int) -> None:
        from transformers import GitConfig, GitForCausalLM

        torch.manual_seed(0)
        self.model = GitForCausalLM(GitConfig()).eval()
        self.pixels = torch.randn(pictures, 3, 224, 224)

    def caption(self) -> Tensor:
        """Look, and write `WORDS` words."""
        start = torch.full((len(self.pixels), 1), 101)
        return self.model.generate(
            pixel_values=self.pixels, input_ids=start, max_new_tokens=WORDS, min_new_tokens=WORDS, do_sample=False
        )

    def look(self) -> Tensor:
        """The part of `caption` that is not writing."""
        return self.model.git.image_encoder(self.pixels).last_hidden_state


def step_seconds(captioner: Captioner) -> float:
    """The least time of a step after ten words."""
    text_cache, cache = KeyValues(), captioner.model.prefill(captioner.features, attributes=CAPTION)
    words: list[Tensor] = []
    best = float("inf")
    for place in range(WORDS):
        began = time.perf_counter()
        word, text_cache, cache = captioner.step(words, max(place - 1, 0), text_cache, cache)
        best = min(best, time.perf_counter() - began) if place > 4 else best
        words.append(word)
    return best


def compare(preset: str, pictures: int, causal_layers: int | None, aim: float, rounds: int) -> list[Row]:
    captioner, git = Captioner(preset, pictures, causal_layers), Git(pictures)
    same = "identical words" if torch.equal(captioner.cached(), captioner.whole()) else "OTHER WORDS"
    best = best_seconds(
        {"cached": captioner.cached, "whole": captioner.whole, "git": git.caption, "git looks": git.look}, rounds
    )
    peer = best["git"] - best["git looks"]
    number = WORDS * pictures
    what = f"captions of {WORDS} words, batch {pictures}"
    speeds = f"({number / best['cached']:.1f} words/s against"
    rows = [
        Row(
            what,
            "ours without cache",
            best["whole"] / best["cached"],
            aim,
            detail=f"{speeds} {number / best['whole']:.1f}; {same})",
        ),
        Row(what, "GIT-base, pictures encoded", peer / best["cached"], 1.5, detail=f"{speeds} {number / peer:.1f})"),
    ]
    if pictures == 1:
        bandwidth, took = read_bandwidth(), step_seconds(captioner)
        bound = captioner.bytes_of_a_step() / bandwidth
        detail = f"({1e3 * took:.1f} ms for {captioner.bytes_of_a_step() / 1e6:.0f} MB at {bandwidth / 1e9:.0f} GB/s)"
        rows.append(
            Row("a step of decoding, batch 1", "memory bandwidth", 100 * bound / took, 50, unit=" %", detail=detail)
        )
    return rows


@torch.inference_mode()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--preset", default="resnet50")
    parser.add_argument("--causal-layers", type=int, help="layers of f_text that words pass; default: as configured")
    given = parser.parse_args()
    keep_heap()
    rounds = 1 if given.quick else 2
    rows = compare(given.preset, 1, given.causal_layers, 4.0, rounds)
    rows += compare(given.preset, 8, given.causal_layers, 8.0, rounds) if not given.quick else []
    report(rows, given.json)


if __name__ == "__main__":
    main()
