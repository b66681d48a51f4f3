"""The checkpoint of a stopped training: written whole, of one recipe, refused if damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from streamer.errors import SerLiveError
from train.fitting.recipe import Recipe
from train.whole_file import whole_file


def save_checkpoint(path: Path, recipe: Recipe, state: dict[str, Any]) -> None:
    """Save atomically: an interrupted write leaves the previous epoch's checkpoint."""
    with whole_file(path) as file:
        torch.save(state | {"recipe": json.dumps(recipe.to_dict())}, file)


def restore_checkpoint(
    path: Path, recipe: Recipe, device: torch.device, restore: Callable[[dict[str, Any]], None]
) -> None:
    """Pass a checkpoint's state, on the device, to ``restore``, which takes it over.

    Raises:
        SerLiveError: the checkpoint is of another recipe, or damaged.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        is_same = recipe.made(json.loads(state["recipe"]))
        if is_same:
            restore(state)
    except (torch.OutOfMemoryError, PermissionError):  # the file may be whole
        raise
    except Exception as error:  # torch and its pickle raise a dozen unrelated types
        raise SerLiveError(f"{path} is damaged: remove it to train from the first epoch") from error
    if not is_same:
        raise SerLiveError(f"{path} is of another recipe: remove it, or name another --run")
