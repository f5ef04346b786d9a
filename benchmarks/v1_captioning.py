"""Captions of Uni-Perceiver v1: one pass per step with kept keys and values, beside the official two-pass search.

    python benchmarks/v1_captioning.py

The official search (spec/uni_perceiver_v1_moe.md, section 5) keeps each layer's inputs, projects keys and values anew
at every step, runs a slot and then the chosen word through the encoder, and goes on to the last step even when all
sentences have ended. Both searches run here on the same random weights in one process, and must find the same words.
One pass instead of two lets expect at least twice the speed.
The end is the word whose first place in a sentence is the last, or one that these weights never say. Times are of the
processor, so that other work on the machine does not count.
"""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from measuring import Row, arguments, best_seconds, report
from torch import Tensor

from uniperceiver.batches import ImageBatch, TextBatch
from uniperceiver.config import PatchEncoderConfig, load_config
from uniperceiver.likelihood import log_likelihood
from uniperceiver.model.layers.attention import KeyValues
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.beam_search import beam_search

CAPTION = TaskAttributes(input_image=True, input_text=True)
STEPS, BEAMS = 21, 2


def small_model(layers: int, width: int, words: int) -> UniPerceiver:
    """v1 with fewer layers, width and words; layer scale 1, since 1e-3 of random layers would say nothing."""
    config = load_config("v1_base")
    assert isinstance(config.image, PatchEncoderConfig)
    decoder = replace(
        config.decoder, width=width, heads=width // 64, layers=layers, feedforward=4 * width, layer_scale=1.0
    )
    text = replace(config.text, vocabulary_size=words, spe_id=words - 1)
    torch.manual_seed(0)
    return UniPerceiver(replace(config, text=text, decoder=decoder)).eval()


def tokens(model: UniPerceiver, ids: Tensor, position: int, is_slot: bool) -> Tensor:
    """Embeddings (R, 1, D) of one token for each row, all at ``position``."""
    slot = torch.full_like(ids[:, None], int(is_slot), dtype=torch.bool)
    text = TextBatch(ids[:, None], torch.zeros_like(slot), torch.full_like(ids[:, None], position), slot, causal=True)
    return model.g.norm(model.encode_text(text).tokens)


def one_pass(model: UniPerceiver, x: Tensor, history: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """A token through g beside the kept inputs of every layer; its read-out, and its own inputs."""
    inputs = []
    for layer, earlier in zip(model.g.stack, history, strict=True):
        inputs.append(x)
        weights = layer.weights([CAPTION.bits("text", "input", True)])
        projected = torch.nn.functional.linear(layer.norm1(earlier), *weights.attention[0].first)
        _, key, value = projected.unflatten(-1, (3, layer.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        x, _ = layer(x, weights, [x.shape[1]], None, (key, value))
    return model.g.proj(model.g.ln_post(x))[:, 0], inputs


def official_search(model: UniPerceiver, images: ImageBatch, vocabulary: Tensor, end: int) -> list[tuple[int, ...]]:
    """Two passes per step, keys and values from kept layer inputs, no early stop."""
    pictures, slot_id = images.size, model.config.text.spe_id
    history = []
    spe = model.f_text.spe().expand(pictures, 1, -1)
    prefix = model.g.norm(torch.cat([spe, model.encode_image(images).segment.tokens], dim=1))
    for layer in model.g.stack:
        history.append(prefix)
        prefix, _ = layer(prefix, layer.weights([CAPTION.bits("image", "input", False)]), [prefix.shape[1]], None)
    scores, sentences = torch.zeros(pictures, 1), torch.zeros(pictures, 1, 0, dtype=torch.int64)
    for step in range(STEPS):
        rows = scores.numel()
        spoken, _ = one_pass(model, tokens(model, torch.full((rows,), slot_id), step, True), history)
        log_p = log_likelihood(spoken, vocabulary, model.temperature("caption")).unflatten(0, scores.shape)
        if step:
            ended = sentences[..., -1] == end
            log_p[ended] = -999.0
            log_p[..., end].masked_fill_(ended, 0.0)
        scores, chosen = (scores[..., None] + log_p).flatten(1).topk(BEAMS, dim=1)
        parent, word = chosen // len(vocabulary), chosen % len(vocabulary)
        kept = (parent + torch.arange(pictures)[:, None] * (rows // pictures)).flatten()
        sentences = torch.cat([sentences.flatten(0, 1)[kept].view(pictures, BEAMS, -1), word[..., None]], dim=2)
        history = [layer[kept] for layer in history]
        _, inputs = one_pass(model, tokens(model, word.flatten(), step, False), history)
        history = [torch.cat(pair, dim=1) for pair in zip(history, inputs, strict=True)]
    best = sentences[torch.arange(pictures), scores.argmax(dim=1)]
    return [tuple(word for word in row if word != end) for row in best.tolist()]


class NextWord:
    """One pass over [last word, next slot], as the captioning task does."""

    def __init__(self, model: UniPerceiver, images: ImageBatch, vocabulary: Tensor) -> None:
        self.model, self.vocabulary, self.length = model, vocabulary, 0
        self.cache: KeyValues = model.prefill(model.encode_image(images).segment, attributes=CAPTION)

    def __call__(self, words: Tensor | None, parents: Tensor) -> Tensor:
        """Log-probabilities of the next word, see `uniperceiver.tasks.beam_search.NextWord`."""
        slots = torch.full_like(parents, self.model.config.text.spe_id)
        columns = [slots] if words is None else [words, slots]
        self.cache = self.cache if words is None else self.cache.kept(parents)
        ids = torch.stack(columns, dim=1)
        is_slot = torch.zeros_like(ids, dtype=torch.bool)
        is_slot[:, -1] = True
        positions = torch.arange(self.length + 1 - len(columns), self.length + 1).expand_as(ids)
        text = TextBatch(ids, torch.zeros_like(is_slot), positions, is_slot, causal=True)
        decoded, self.cache = self.model.g.step(self.model.encode_text(text), CAPTION, self.cache)
        self.length += 1
        return log_likelihood(decoded[:, -1], self.vocabulary, self.model.temperature("caption"))


def our_search(model: UniPerceiver, images: ImageBatch, vocabulary: Tensor, end: int) -> list[tuple[int, ...]]:
    """One pass per step, until all sentences have ended."""
    found = beam_search(NextWord(model, images, vocabulary), images.size, BEAMS, end, STEPS, length_penalty=0.0)
    return [sentence.words for sentence in found]


@torch.inference_mode()
def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--words", type=int, default=5000)
    parser.add_argument("--pictures", type=int, default=4)
    given = parser.parse_args()
    model = small_model(given.layers, given.width, given.words)
    is_padding = torch.zeros(given.pictures, 224, 224, dtype=torch.bool)
    images = ImageBatch(torch.randn(given.pictures, 3, 224, 224), is_padding)
    rows = TextBatch.from_ids([[word, given.words - 5] for word in range(given.words)], 0)
    vocabulary = model.decode(model.encode_text(rows), attributes=CAPTION, side="target").spe

    def compared(what: str, end: int) -> Row:
        found: dict[str, list[tuple[int, ...]]] = {}

        def official() -> None:
            found["official"] = official_search(model, images, vocabulary, end)

        def ours() -> None:
            found["ours"] = our_search(model, images, vocabulary, end)

        times = best_seconds({"official": official, "ours": ours}, 1 if given.quick else 3, time.process_time)
        if found["official"] != found["ours"]:
            raise SystemExit(f"{what}: the searches find other words: {found}")
        detail = f"({times['ours']:.2f} against {times['official']:.2f} s, the same words)"
        return Row(what, "the official search", times["official"] / times["ours"], 2.0, detail=detail)

    never = given.words - 1
    sentences = our_search(model, images, vocabulary, never)
    late = max((sentence.index(word), word) for sentence in sentences for word in sentence)[1]
    report([compared("v1's captions, 21 words", never), compared("v1's captions that end sooner", late)], given.json)


if __name__ == "__main__":
    main()
