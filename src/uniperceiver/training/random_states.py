"""The random states of all processes, so that a resumed training draws what an uninterrupted one would have drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from uniperceiver.distributed import gather, rank


def random_states(device: torch.device) -> Tensor:
    """(processes, n) uint8 on the CPU: of each process the state of torch's CPU generator, then that of its GPU.

    Every process must call it.
    """
    state = torch.get_rng_state()
    if device.type == "cuda":
        state = torch.cat([state, torch.cuda.get_rng_state(device)])
    return gather(state[None].to(device)).cpu()


def restore_random_states(states: Tensor, device: torch.device) -> None:
    """Set the generators of this process as `random_states` found them; of more processes than then, the new ones keep
    their seed."""
    if rank() >= len(states):
        return
    on_cpu = len(torch.get_rng_state())
    own = states[rank()].clone()
    torch.set_rng_state(own[:on_cpu])
    if device.type == "cuda" and len(own) > on_cpu:
        torch.cuda.set_rng_state(own[on_cpu:], device)
