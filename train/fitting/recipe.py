"""Recipes: one TOML file with every setting that affects a training's result."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model.config import ORDINARY, NetworkConfig, RecurrentConfig, SystemConfig, check_choice
from streamer.errors import SerLiveError
from streamer.recognition.metadata import check_model_names
from streamer.recognition.normaliser import Normaliser
from streamer.signal import FREQUENCY_BINS
from train.corpora.voices import VOICES
from train.features.arrangement import Streams
from train.features.augment import Augmentation
from train.ranges import check_names, check_number, check_table

#: Longest stream, in ``memory_timesteps`` of its normaliser; e to this power must not overflow in
#: :func:`train.features.spectra.normalise`.
MOST_MEMORIES = 300


@dataclass(frozen=True)
class Recipe:
    """The settings of one training.

    Attributes:
        name: name of the recipe file.
        corpora: names of corpora, or paths of own recordings; their training speakers are trained
            on, their validation speakers choose the epoch.
        network: configuration of the network.
        split: name of the split into training, validation and test speakers, see
            ``train/corpora/splits.py``; all but "fixed" need a single corpus.
        transfer: corpora that are only tested, with all their speakers.
        extra_labels: further classes, in training only.
        normaliser: settings of :class:`streamer.recognition.normaliser.Normaliser` that differ from
            its defaults; the prior spectrum comes from the data.
        normalisation: "causal", by that normaliser, as in the runtime; or "utterance", the paper's
            z-norm, which needs the end of each recording.
        augmentation: drawn anew for every stretch of a stream; utterances as recorded get only
            masks and mixup.
        streams: distribution of the stretches of streams to train on; None trains on utterances as
            recorded, each in its own stream.
        noises: folders of background recordings among the corpora, whose licences the weights
            inherit.
        epochs: number of epochs, each judged at its end; an epoch is a pass over the utterances, or
            ``epoch_steps`` batches of streams.
        epoch_steps: batches of streams per epoch.
        draws_ahead: on a CPU, whether another process draws the streams while this one trains.
        patience: epochs without improvement after which training stops; 0 trains all epochs.
        batch: utterances or streams per step, over all processes.
        optimiser: "adamw", or "sgd" as in the paper.
        learning_rate: peak of the schedule.
        schedule: "one-cycle"; or "constant", which early stopping does not cut short.
        momentum: momentum of SGD.
        weight_decay: weight decay of the optimiser.
        label_smoothing: share of each target spread over all classes; of the label and of stored
            answers or votes in it, but not of ``teacher``'s answers, which are added after that.
        soft_labels: share of the label that its raters' votes replace, in CREMA-D.
        votes: what those raters were given: the "voice" alone, or voice and face ("both").
        imitates: file of Whisper's encoder, in the folder of the corpora, for the network to
            imitate, see :mod:`train.teaching.pretraining`; "" trains on the labels.
        voices: names from :data:`train.corpora.voices.VOICES`; their recordings have no label and
            are only imitated.
        trains: "all" of the network; or only its "voice" memory, see :mod:`model.voice`, in a
            network that starts from a finished run.
        pretrained: folder of a finished run to start from; the classifier's weights for new labels
            and those of a different attention start anew; "" starts from random weights.
        answers: folder of a finished ``python -m train teach``, whose answers replace a share of
            the labels, see :mod:`train.teaching.teaching`; "" for none.
        answers_weight: that share.
        teacher: folders of finished runs with the same labels, whose mean estimate at every step
            replaces a share of the labels. A trial of ``compare`` fills in ``{protocol}``,
            ``{split}`` and ``{seed}``.
        teacher_weight: that share.
        refit: whether to train again, up to the chosen epoch, with the validation speakers
            included; the temperature and the voice answer's bias stay.
        shortest: fewest timesteps of an utterance to train on.
        longest: most timesteps of an example; the rest is cropped.
        averaging: decay per step of the exponential moving average of the weights.
        seed: seed of all random draws.
    """

    name: str
    corpora: tuple[str, ...]
    network: SystemConfig
    split: str = "fixed"
    transfer: tuple[str, ...] = ()
    extra_labels: tuple[str, ...] = ()
    normaliser: dict[str, float] = field(default_factory=dict)
    normalisation: Literal["causal", "utterance"] = "causal"
    augmentation: Augmentation = field(default_factory=Augmentation)
    streams: Streams | None = None
    noises: tuple[str, ...] = ()
    epochs: int = 20
    epoch_steps: int = 100
    draws_ahead: bool = True
    patience: int = 0
    batch: int = 32
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    momentum: float = 0.9
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    soft_labels: float = 0.0
    votes: Literal["voice", "both"] = "voice"
    imitates: str = ""
    voices: tuple[str, ...] = ()
    trains: Literal["all", "voice"] = "all"
    pretrained: str = ""
    answers: str = ""
    answers_weight: float = 0.6
    teacher: tuple[str, ...] = ()
    teacher_weight: float = 0.5
    refit: bool = False
    shortest: int = 12
    longest: int = 150
    averaging: float = 0.998
    seed: int = 1

    def __post_init__(self) -> None:
        self._check_numbers()
        check_choice("optimiser", self.optimiser, ("adamw", "sgd"))
        check_choice("schedule", self.schedule, ("one-cycle", "constant"))
        check_choice("votes", self.votes, ("voice", "both"))
        check_choice("normalisation", self.normalisation, ("causal", "utterance"))
        if self.normalisation == "utterance" and self.streams is not None:
            raise ValueError(
                'normalisation = "utterance" needs whole recordings: leave streams out'
            )
        check_choice("trains", self.trains, ("all", "voice"))
        for name in ("corpora", "transfer", "extra_labels", "teacher", "noises", "voices"):
            check_names(name, getattr(self, name))
        check_model_names(self.name, self.network.labels)
        if not isinstance(self.split, str):
            raise ValueError(f"split must be a name, such as fixed; is {self.split!r}")
        for name in ("pretrained", "answers"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be the folder of a run, is {getattr(self, name)!r}")
        if not isinstance(self.imitates, str):
            raise ValueError(f"imitates must be a file, is {self.imitates!r}")
        for name in ("refit", "draws_ahead"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, is {getattr(self, name)!r}")
        if self.imitates and self.streams is None:
            raise ValueError("imitates needs streams")
        for name in ("pretrained", "answers", "teacher", "soft_labels", "refit"):
            if self.imitates and getattr(self, name):
                raise ValueError(f"what imitates learns no emotions: leave {name} out")
        if self.imitates and self.augmentation.mixup:
            raise ValueError("imitates takes no mixup: the frames of two recordings do not mix")
        knows_voices = self.network.knows_voices
        if isinstance(self.network, NetworkConfig) and self.network.ordinary:
            raise ValueError("streams decide on an output for ordinary speech: leave it out")
        if knows_voices and (self.streams is None or self.augmentation.mixup):
            raise ValueError("voice = true needs streams, and no mixup: a voice is one person's")
        if self.streams is not None and self.streams.known and (self.answers or self.soft_labels):
            raise ValueError("known needs labels as they are: leave answers and soft_labels out")
        if self.trains == "voice" and self.teacher:
            raise ValueError('trains = "voice" learns from labels: leave teacher out')
        if self.trains == "voice" and not (knows_voices and self.streams and self.pretrained):
            raise ValueError(
                'trains = "voice" needs streams, a network with voice = true, and a finished run '
                "as pretrained"
            )
        if self.voices and not self.imitates:
            raise ValueError("voices have no labels: they need imitates")
        if unknown := set(self.voices) - set(VOICES):
            raise ValueError(f"voices must be of {', '.join(VOICES)}: no {', '.join(unknown)}")
        self._check_streams()
        if ORDINARY in self.labelled:
            raise ValueError(f"{ORDINARY!r} is the class of ordinary speech, no label")
        if not self.corpora:
            raise ValueError("corpora must name one or more")
        if both := set(self.corpora) & set(self.transfer):
            raise ValueError(f"{', '.join(both)}: both trained on and kept for transfer")
        if both := set(self.network.labels) & set(self.extra_labels):
            raise ValueError(f"{', '.join(both)}: both in labels and in extra_labels")
        if self.soft_labels and "cremad" not in self.corpora:
            raise ValueError("soft_labels needs a corpus whose raters voted: cremad")
        if self.teacher and self.classes != self.network.labels:
            raise ValueError(
                "a teacher has no opinion on extra_labels or on ordinary speech: leave them out"
            )

    def _check_streams(self) -> None:
        check_table("normaliser", self.normaliser)
        normaliser = self.normaliser_with(np.full(FREQUENCY_BINS, 1 / FREQUENCY_BINS))
        if self.streams is None:
            return
        if not self.network.is_rolling:
            raise ValueError("streams need a network that estimates at every timestep")
        learns_it = self.imitates or isinstance(self.network, NetworkConfig)
        if self.streams.ordinary and not learns_it:
            raise ValueError(
                "only networks of memory blocks tell ordinary speech apart: leave ordinary out"
            )
        weights = self.streams.corpora
        if unknown := set(weights) - set(self.corpora):
            raise ValueError(f"corpora of streams: not trained on {', '.join(sorted(unknown))}")
        if not any(weights.get(name, 1.0) for name in self.corpora):
            raise ValueError("corpora of streams: one or more must weigh more than 0")
        least = self.streams.timesteps / MOST_MEMORIES
        if normaliser.memory_timesteps < least:
            raise ValueError(
                f"streams of {self.streams.seconds:g} s need memory_timesteps of {least:g} or more"
            )

    def _check_numbers(self) -> None:
        for name in ("patience", "seed"):
            check_number(name, getattr(self, name), whole=True)
        for name in ("epochs", "epoch_steps", "batch", "shortest"):
            check_number(name, getattr(self, name), 1, whole=True)
        check_number("longest", self.longest, self.shortest, whole=True)
        check_number("learning_rate", self.learning_rate, 1e-8, 10)
        check_number("weight_decay", self.weight_decay, 0, 1)
        for name in ("momentum", "averaging"):
            check_number(name, getattr(self, name), 0, 0.99999)
        for name in ("label_smoothing", "soft_labels", "answers_weight", "teacher_weight"):
            check_number(name, getattr(self, name), 0, 1)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of streams: the network's labels first, ordinary speech last."""
        has_ordinary = self.streams is not None and self.streams.ordinary > 0
        return (*self.labelled, *((ORDINARY,) if has_ordinary else ()))

    @property
    def kept_network(self) -> SystemConfig:
        """Configuration of the network that is kept, without the extra labels."""
        if isinstance(self.network, NetworkConfig) and ORDINARY in self.classes:
            return replace(self.network, ordinary=True)
        return self.network

    @property
    def labelled(self) -> tuple[str, ...]:
        """The classes that recordings of corpora carry."""
        return (*self.network.labels, *self.extra_labels)

    def normaliser_with(self, prior_spectrum: NDArray[np.float64]) -> Normaliser:
        """Return the front end's normaliser with the prior ``(201,)`` of the data."""
        return Normaliser(prior_spectrum, **self.normaliser)

    def of_corpora(self, names: Collection[str]) -> Recipe:
        """Return this recipe with only some of its corpora; the others are only tested.

        Raises:
            SerLiveError: a name is not one of the recipe's corpora.
        """
        if unknown := set(names) - set(self.corpora):
            raise SerLiveError(
                f"the recipe {self.name} trains on {', '.join(self.corpora)}, not on "
                f"{', '.join(sorted(unknown))}"
            )
        kept = tuple(name for name in self.corpora if name in names)
        others = tuple(name for name in self.corpora if name not in names)
        name = "-".join((self.name, *(Path(one).stem for one in kept)))
        streams = self.streams
        if streams is not None:
            weights = {one: weight for one, weight in streams.corpora.items() if one in kept}
            streams = replace(streams, corpora=weights)
        return replace(
            self, name=name, corpora=kept, transfer=(*self.transfer, *others), streams=streams
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, those of tables one by one.

        Recipes may gain settings without a change to this.
        """
        usual: dict[str, Any] = {
            one.name: one.default for one in fields(self) if one.default is not MISSING
        }
        own = self.to_dict()
        tables = {"augmentation": asdict(Augmentation()), "streams": asdict(Streams())}
        for name, table in tables.items():
            if own[name] is not None:
                own[name] = {key: one for key, one in own[name].items() if one != table[key]}
        usual["augmentation"] = {}
        return {name: one for name, one in own.items() if name not in usual or one != usual[name]}

    def made(self, settings: dict[str, Any]) -> bool:
        """Return whether this recipe made a run with these settings, as read from JSON.

        Settings added since then, outside ``augmentation``, count as left alone: their default
        must match the earlier behaviour. So do removed settings that were off.
        """
        left_alone = {
            item.name: item.default for item in fields(self) if item.default is not MISSING
        }
        own = json.loads(json.dumps(self.to_dict()))
        try:  # a network, too, has what its configuration has learnt since
            network = network_config(settings["network"]).to_dict()
        except (KeyError, TypeError, ValueError):
            return False
        theirs = left_alone | settings | {"network": network}
        if isinstance(streams := theirs["streams"], dict):
            theirs["streams"] = asdict(Streams()) | streams
        theirs = json.loads(json.dumps(theirs))
        return bool(own == {name: one for name, one in theirs.items() if one or name in own})


def network_config(values: dict[str, Any]) -> SystemConfig:
    """Invert ``SystemConfig.to_dict`` for any system's configuration."""
    kind = NetworkConfig if "blocks" in values else RecurrentConfig
    return kind.from_dict(values)
