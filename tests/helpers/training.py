"""The training's command in this process, trainings that are stopped, and networks compared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from train.__main__ import main
from train.fitting.training import Training


def run_train(monkeypatch, *arguments):
    """Run ``python -m train`` with arguments of any type; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    return main()


@contextmanager
def stopped_at_save(number: int = 1, kind: type = Training) -> Iterator[None]:
    """Stop a training, as Ctrl-C does, once it has saved its state this many times."""
    left, save = [number], kind.save

    def save_and_stop(training, path):
        save(training, path)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(kind, "save", save_and_stop)
        yield


@contextmanager
def changed(file: Path) -> Iterator[None]:
    """Let a file have a byte more for a while."""
    kept = file.read_bytes()
    file.write_bytes(kept + b"\n")
    yield
    file.write_bytes(kept)


def have_equal_weights(network, other):
    weights = other.state_dict()
    return all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
