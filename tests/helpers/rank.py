"""One of torchrun's processes, which train together; the argument is the run's folder."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.helpers.generated import recipe_with, training_set, validation_sets
from train.fitting.epochs import fit, refit
from train.place import find_place

torch.set_num_threads(1)
folder = Path(sys.argv[1])
with find_place("cpu") as place:
    fitted = fit(recipe_with(), training_set(), validation_sets(), folder, place)
    again = refit(recipe_with(), training_set(), fitted.epoch, folder / "refit", place)
    saved = {
        "weights": fitted.network.state_dict(),
        "refit": again.state_dict(),
        "ranks": place.ranks,
    }
    torch.save(saved, folder / f"{place.rank}.pt")
