"""The place of a training: its device, and its rank among torchrun's processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar

import torch
from torch import distributed

from streamer.errors import SerLiveError

T = TypeVar("T")

CPU = torch.device("cpu")

#: Device names on the command line.
Device = Literal["auto", "cpu", "cuda"]

#: Longest wait of one process for another, since the leader prepares and evaluates alone.
PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Place:
    """One process's place in a training.

    Attributes:
        device: device of the network and, if they fit, of the features.
        rank: rank of this process, from 0; 0 leads: it prepares, evaluates and writes.
        ranks: number of processes, each with a share of every batch.
    """

    device: torch.device = CPU
    rank: int = 0
    ranks: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def worked_s(self) -> float:
        """Return the time of a running clock in seconds: wall time on a GPU, else processor time.

        Other programs on a shared machine do not slow hours of training evenly.
        """
        return time.monotonic() if self.device.type == "cuda" else time.process_time()

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share of items that all processes have."""
        return items[self.rank :: self.ranks]

    def leaders(self, value: T) -> T:
        """Wait for the leader's value and return it in every process."""
        if self.ranks == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0, device=CPU)
        return values[0]

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Run the block in the leader first, then in the others, which find its results."""
        if not self.leads:
            self.leaders(None)
        yield
        if self.leads:
            self.leaders(None)

    def fits(self, size: int) -> bool:
        """Return whether this many bytes fit on the device alongside a training."""
        if self.device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self.device)
        return size < 0.7 * free


def _device(name: Device, local_rank: int) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise SerLiveError("torch finds no CUDA device: use --device cpu, or a build with CUDA")
    if name == "cpu" or not torch.cuda.is_available():
        return CPU
    return torch.device("cuda", local_rank)


@contextmanager
def find_place(name: Device = "auto") -> Iterator[Place]:
    """Yield this process's place for the duration of the block.

    Raises:
        SerLiveError: CUDA is asked for and there is none.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    device = _device(name, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if ranks == 1:
        yield Place(device)
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Place(device, distributed.get_rank(), ranks)
    finally:
        distributed.destroy_process_group()
