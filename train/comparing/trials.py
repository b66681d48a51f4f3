"""Systems, protocols and trials of ``python -m train compare``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model.baselines import REFERENCES, SYSTEMS
from model.config import EMOTIONS, NetworkConfig, SystemConfig, live, unbounded
from streamer.outputs import say_on_stderr
from train.comparing.results_file import UNSEEDED
from train.corpora.known import SOURCES, at_hand

#: Substitute for the systems on hand-crafted features; not a network.
FUNCTIONALS = "egemaps-svm"

EIGHT_EMOTIONS = (*EMOTIONS, "calm", "disgust", "fear", "surprise")


@dataclass(frozen=True)
class Protocol:
    """A corpus with its labels, splits and number of seeds.

    Attributes:
        corpus: a single corpus, so that every split is of its speakers.
        labels: labels of the classes.
        splits: names from ``train/corpora/splits.py``; each is a separate training.
        seeds: number of trainings per split.
    """

    corpus: str
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    seeds: int


def _folds(scheme: str, count: int) -> tuple[str, ...]:
    return tuple(f"{scheme}/{fold}" for fold in range(1, count + 1))


#: Protocols that take two cores hours.
SMALL = {
    "cremad": Protocol("cremad", EMOTIONS, ("fixed",), 3),
    "ravdess": Protocol("ravdess", EIGHT_EMOTIONS, _folds("ravdess-5", 5), 1),
    "iemocap-random": Protocol("iemocap", EMOTIONS, ("iemocap-random/1",), 3),
}
#: Protocols that need a GPU.
FULL = {
    "cremad": Protocol("cremad", EMOTIONS, ("fixed",), 5),
    "cremad-folds": Protocol("cremad", EMOTIONS, _folds("folds-5", 5), 5),
    "ravdess": Protocol("ravdess", EIGHT_EMOTIONS, _folds("ravdess-5", 5), 5),
    "iemocap-random": Protocol("iemocap", EMOTIONS, ("iemocap-random/1",), 5),
    "iemocap-sessions": Protocol("iemocap", EMOTIONS, _folds("iemocap-sessions", 5), 5),
}
#: Protocols of other work, not part of the paper's comparison; run only when named.
ELSEWHERE = {
    "ravdess-emobox": Protocol("ravdess", EIGHT_EMOTIONS, _folds("emobox-6", 6), 1),
}


def protocols_at_hand(protocols: Mapping[str, Protocol], corpora: Path) -> dict[str, Protocol]:
    """Return protocols whose corpus is present; for others, print on stderr where to get it.

    Raises:
        SerLiveError: there is no corpus at all.
    """
    there = at_hand(corpora)
    for name, protocol in protocols.items():
        if protocol.corpus not in there:
            _, source = SOURCES[protocol.corpus]
            say_on_stderr(f"train: {name} is left out: no {corpora / protocol.corpus} ({source})")
    return {name: one for name, one in protocols.items() if one.corpus in there}


def _with_look_ahead(orders: Sequence[int]) -> Callable[[tuple[str, ...]], SystemConfig]:
    """Make the live network with other look-ahead orders, one per block."""

    def config(labels: tuple[str, ...]) -> NetworkConfig:
        base = live(labels)
        blocks = zip(base.blocks, orders, strict=True)
        return replace(
            base,
            blocks=tuple(replace(block, look_ahead_order=order) for block, order in blocks),
        )

    return config


#: The live network by look-ahead, in ms of timesteps; 160 is the live network itself.
LOOK_AHEADS: dict[str, Callable[[tuple[str, ...]], SystemConfig]] = {
    "look-ahead-0": _with_look_ahead((0, 0, 0, 0)),
    "look-ahead-80": _with_look_ahead((0, 1, 0, 1)),
    "look-ahead-320": _with_look_ahead((2, 2, 2, 2)),
    "look-ahead-paper": unbounded,
}
#: Systems outside the paper's comparison, which run only when named: the live network with the
#: attention of the shipped model, and the same with a biLSTM that hears everything.
NAMED_ONLY: dict[str, Callable[[tuple[str, ...]], SystemConfig]] = {
    "c-pfsmn-c-live": lambda labels: replace(live(labels), attention="context"),
    **REFERENCES,
}
NETWORKS = SYSTEMS | LOOK_AHEADS
COMPARED = (FUNCTIONALS, *NETWORKS)


@dataclass(frozen=True)
class Trial:
    """One training and its test.

    Attributes:
        protocol: name of the protocol.
        corpus: the protocol's corpus.
        labels: the protocol's labels.
        split: one of the protocol's splits.
        system: one of :data:`COMPARED`.
        seed: from 1; :data:`train.comparing.results_file.UNSEEDED` for deterministic systems.
    """

    protocol: str
    corpus: str
    labels: tuple[str, ...]
    split: str
    system: str
    seed: int

    @property
    def key(self) -> str:
        """Its name in the results file and as a run folder."""
        return f"{self.protocol}/{self.split.replace('/', '-')}/{self.system}/{self.seed}"


def trials(protocols: Mapping[str, Protocol], systems: Sequence[str]) -> Iterator[Trial]:
    """Yield all trials, seed by seed, so that early results are already comparable."""
    for seed in range(1, 1 + max((one.seeds for one in protocols.values()), default=0)):
        for name, one in protocols.items():
            if seed > one.seeds:
                continue
            for split in one.splits:
                for system in systems:
                    if system != FUNCTIONALS:
                        yield Trial(name, one.corpus, one.labels, split, system, seed)
                    elif seed == 1:
                        yield Trial(name, one.corpus, one.labels, split, system, UNSEEDED)
