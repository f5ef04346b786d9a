"""Encoding class names and a vocabulary as candidates, beside padded batches through transformers' RoBERTa.

    python benchmarks/name_encoding.py

Both sides: RoBERTa-base and six more layers of its width, random weights, float32, the same texts. Ours sorts by length
and runs f_text and g; the peer pads every batch of 64, names to the longest name and words to the longest of the batch,
and runs RoBERTa with 18 layers, which is the same number. Texts have the lengths of ImageNet's names and of words, one
token in six characters and two special ones. The vocabulary is sampled, and its time scaled; names are not, because few
of a length make small passes that all of them would not. Then the same names come from the cache on disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from measuring import Row, arguments, best_seconds, keep_heap, report
from torch import Tensor
from transformers import RobertaConfig, RobertaModel

from uniperceiver.config import ModelConfig, load_config
from uniperceiver.model.segments import TaskAttributes
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.uni_perceiver import UniPerceiver
from uniperceiver.tasks.candidates import CandidateSet
from uniperceiver.tasks.encoding_store import EncodingStore

ATTRIBUTES = TaskAttributes(input_image=True, input_text=False)
NAMES = ((3, 0.30), (4, 0.45), (5, 0.17), (6, 0.05), (7, 0.02), (9, 0.01))
WORDS = ((3, 0.60), (4, 0.33), (5, 0.07))
"""Tokens of a text, and how many texts have so many."""
BATCH = 64


def our_model() -> UniPerceiver:
    """The text side of `resnet50`; the image side, which is not run, is `nano`'s."""
    config: ModelConfig = load_config("resnet50")
    return UniPerceiver(replace(config, image=load_config("nano").image)).eval()


def texts(lengths: Sequence[tuple[int, float]], number: int) -> list[tuple[int, ...]]:
    generator = torch.Generator().manual_seed(0)
    rows = [
        (0, *torch.randint(10, 50000, (length - 2,), generator=generator).tolist(), 2)
        for length, share in lengths
        for _ in range(round(share * number))
    ]
    order = torch.randperm(len(rows), generator=generator).tolist()
    return [rows[place] for place in order]


def candidates(rows: Sequence[tuple[int, ...]]) -> CandidateSet:
    return CandidateSet([str(place) for place in range(len(rows))], rows, (), 1)


def padded(peer: RobertaModel, rows: Sequence[tuple[int, ...]], longest: int | None) -> Callable[[], Tensor]:
    """Batches as they come, padded to the longest text of the batch or, if given, to a length for all."""

    def run() -> Tensor:
        found = []
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            width = longest or max(map(len, batch))
            ids = torch.tensor([[*row, *[1] * (width - len(row))] for row in batch])
            found.append(peer(input_ids=ids, attention_mask=(ids != 1).long()).last_hidden_state[:, 0])
        return torch.cat(found)

    return run


def from_disk(model: UniPerceiver, rows: Sequence[tuple[int, ...]]) -> float:
    """Seconds that names take which another run has encoded, checksums of the weights included."""
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            names = candidates(rows)
            names.store = EncodingStore(Path(folder))
            began = time.perf_counter()
            names.encode(model, ATTRIBUTES)
            seconds = time.perf_counter() - began
    return seconds


@torch.inference_mode()
def main() -> None:
    given = arguments(__doc__).parse_args()
    keep_heap()
    rounds = 1 if given.quick else 2
    model = our_model()
    assert isinstance(model.f_text, TextEncoder)
    peer = RobertaModel(
        RobertaConfig(num_hidden_layers=18, max_position_embeddings=514), add_pooling_layer=False
    ).eval()
    rows = []
    for what, lengths, number, sampled, longest, aim in (
        ("encoding 1,000 names", NAMES, 1000, 1000, 9, 3.5),
        ("encoding 50,000 words", WORDS, 50_000, 512 if given.quick else 2048, None, 2.2),
    ):
        texts_here = texts(lengths, sampled)
        seconds = best_seconds(
            {
                "ours": lambda texts_here=texts_here: candidates(texts_here).encode(model, ATTRIBUTES),
                "peer": padded(peer, texts_here, longest),
            },
            rounds,
        )
        scale = number / len(texts_here)
        detail = f"({scale * seconds['ours']:.1f} s against {scale * seconds['peer']:.1f} s)"
        rows.append(Row(what, "padded batches, transformers", seconds["peer"] / seconds["ours"], aim, detail=detail))
        if number == 1000:
            again = from_disk(model, texts(lengths, 1000))
            share = 100 * again / (scale * seconds["peer"])
            rows.append(
                Row(
                    "names from the cache on disk",
                    "the first run of the peer",
                    share,
                    1.0,
                    "at most",
                    " %",
                    f"({again:.3f} s)",
                )
            )
    report(rows, given.json)


if __name__ == "__main__":
    main()
