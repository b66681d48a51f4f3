"""The finished runs that a recipe builds on: its start and its teachers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.network import SpectrogramNetwork
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Lineage
from train.corpora.lineage import together
from train.fitting.answers import answer_files
from train.fitting.recipe import Recipe
from train.fitting.run_folder import (
    RESULT,
    WEIGHTS,
    RunFolder,
    is_refit,
    lineage_of,
    normalisation_of,
)
from train.fitting.teachers import Teachers
from train.fitting.training import check_is_whole, check_start
from train.place import Place


@dataclass(frozen=True)
class EarlierRuns:
    """The finished runs that a recipe builds on.

    Attributes:
        start: run whose weights it starts from; None starts from fresh ones.
        answers: teaching run with stored answers; None if there is none.
        teachers: runs whose networks answer at every training step.
    """

    start: RunFolder | None
    answers: RunFolder | None
    teachers: tuple[RunFolder, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> EarlierRuns:
        """Return the runs that a recipe names.

        Raises:
            SerLiveError: a name still has braces in it.
        """
        for name in (recipe.pretrained, *recipe.teacher):
            if "{" in name:
                raise SerLiveError(
                    f"no run {name}: python -m train compare fills in protocol, split, seed and "
                    "system"
                )
        start, answers = (
            RunFolder(Path(name)) if name else None for name in (recipe.pretrained, recipe.answers)
        )
        return cls(start, answers, tuple(RunFolder(Path(name)) for name in recipe.teacher))

    def files(self) -> list[Path]:
        """Return the files that a fit depends on: weights, temperatures and stored answers."""
        found = [run.path / WEIGHTS for run in self._networks]
        found += [one.path / RESULT for one in self.teachers]
        found += [] if self.answers is None else answer_files(self.answers.path)
        return [one for one in found if one.is_file()]

    def refit_files(self) -> list[Path]:
        """Return the files that a refit depends on beside these."""
        found = [run.refit.path / WEIGHTS for run in self._networks]
        return [one for one in found if one.is_file()]

    @property
    def _networks(self) -> list[RunFolder]:
        return [one for one in (self.start, *self.teachers) if one is not None]

    def joined(self, own: Lineage, recipe: Recipe) -> Lineage:
        """Join the recipe's own lineage with those of all these runs.

        Raises:
            SerLiveError: a run is missing, does not fit the recipe, or has heard held-out speakers.
        """
        lineage = own
        if self.start is not None:
            lineage = self._with_start(lineage, recipe, self.start)
        if self.answers is not None:
            theirs = lineage_of(self.answers.result("teach"))
            lineage = together(lineage, theirs, recipe.transfer, self.answers.path)
        for teacher in self.teachers:
            network, result = teacher.load()
            _check_normalised_alike(result, recipe, teacher)
            if network.config.labels != recipe.network.labels:
                raise SerLiveError(
                    f"the teacher {teacher.path} knows {', '.join(network.config.labels)}, "
                    f"the recipe {', '.join(recipe.network.labels)}"
                )
            is_late = recipe.refit and is_refit(result)
            theirs = lineage_of(result)
            lineage = together(lineage, theirs, recipe.transfer, teacher.path, is_late)
        return lineage

    @staticmethod
    def _with_start(lineage: Lineage, recipe: Recipe, start: RunFolder) -> Lineage:
        network, result = start.load(is_start=True)
        _check_normalised_alike(result, recipe, start)
        check_start(network.config, recipe.network, recipe.pretrained)
        if recipe.trains == "voice":
            check_is_whole(network.config, recipe.kept_network, result, recipe.pretrained)
        is_late = recipe.refit and is_refit(result)
        return together(lineage, lineage_of(result), recipe.transfer, start.path, is_late)

    def start_network(self, refitted: bool = False) -> SpectrogramNetwork | None:
        """Load the start network; ``refitted`` takes the one that heard the validation speakers."""
        return None if self.start is None else self.start.load(refitted, is_start=True)[0]

    def load_teachers(
        self, recipe: Recipe, place: Place, refitted: bool = False
    ) -> Teachers | None:
        """Load the teachers onto the device; ``refitted`` as for :meth:`start_network`."""
        if not self.teachers:
            return None
        loaded = [teacher.load(refitted) for teacher in self.teachers]
        return Teachers(
            [network.to(place.device) for network, _ in loaded],
            [result["temperature"] for _, result in loaded],
            recipe.teacher_weight,
        )


def _check_normalised_alike(result: dict[str, Any], recipe: Recipe, run: RunFolder) -> None:
    """Refuse a network that has learnt from features of another kind.

    Raises:
        SerLiveError: it has.
    """
    if normalisation_of(result) != recipe.normalisation:
        raise SerLiveError(
            f"the run {run.path} has normalisation = {normalisation_of(result)!r}, the recipe "
            f"{recipe.normalisation!r}"
        )
