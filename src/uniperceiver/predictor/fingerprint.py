"""What tells models apart whose embeddings differ."""

from __future__ import annotations

import hashlib

import torch

from uniperceiver.checkpoint import Checkpoint
from uniperceiver.config import to_data


def fingerprint_of(checkpoint: Checkpoint, share_encoding: bool) -> str:
    """32 hexadecimal digits of the weights, the configuration, the tasks (they say how pictures are brought to size
    and which frames of videos count), the tokenizer, and whether all tasks see a picture alike (``share_encoding``)."""
    digest = hashlib.blake2b(digest_size=16)
    tasks = {name: to_data(task.config) for name, task in sorted(checkpoint.tasks.items())}
    samplings = {name: to_data(task.sampling) for name, task in sorted(checkpoint.tasks.items()) if task.sampling}
    digest.update(repr((to_data(checkpoint.model.config), tasks, share_encoding)).encode())
    if samplings:
        digest.update(repr(samplings).encode())
    digest.update(checkpoint.tokenizer.to_json().encode())
    for name, tensor in sorted(checkpoint.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
