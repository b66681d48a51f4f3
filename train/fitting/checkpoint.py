"""The checkpoint of a stopped training: written whole, of one recipe, refused if damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from streamer.errors import SerLiveError
from train.fitting.recipe import Recipe
from train.place import CPU
from train.whole_file import whole_file

#: How torch's message begins if weights do not fit a network.
_OTHER_SHAPE = "Error(s) in loading"


def save_checkpoint(path: Path, recipe: Recipe, state: dict[str, Any]) -> None:
    """Save atomically: an interrupted write leaves the previous epoch's checkpoint."""
    with whole_file(path) as file:
        torch.save(state | {"recipe": json.dumps(recipe.to_dict())}, file)


def restore_checkpoint(
    path: Path, recipe: Recipe, restore: Callable[[dict[str, Any]], None]
) -> None:
    """Pass a checkpoint's state, on the CPU, to ``restore``, which takes it over.

    Raises:
        SerLiveError: the checkpoint is of another recipe, damaged, or of another version.
    """
    content = path.read_bytes()  # a disk that fails says so here
    advice = "is damaged, or of another version: remove it to train from the first epoch"
    try:
        state = torch.load(BytesIO(content), map_location=CPU, weights_only=True)
        made_by = json.loads(state["recipe"])
    except MemoryError:
        raise
    except Exception as error:  # torch and its pickle raise a dozen unrelated types
        raise SerLiveError(f"{path} {advice}") from error
    if not recipe.made(made_by):
        raise SerLiveError(f"{path} is of another recipe: remove it, or train in another folder")
    try:
        restore(state)
    except (KeyError, ValueError, TypeError) as error:
        raise SerLiveError(f"{path} {advice}") from error
    except RuntimeError as error:
        if not str(error).startswith(_OTHER_SHAPE):
            raise  # such as a device without memory
        raise SerLiveError(f"{path} {advice}") from error
