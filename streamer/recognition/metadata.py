"""A model file's metadata: enough to build the initial state and to check the outputs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field

import numpy as np

from streamer.errors import SerLiveError
from streamer.modelfile.lineage import LONGEST_NAME, Lineage, check_texts
from streamer.recognition.decision import DecisionConfig, check_labels
from streamer.recognition.normaliser import Normaliser
from streamer.recognition.prior import check_shares
from streamer.signal import (
    FRAME_SAMPLES,
    FRAME_TAIL_SAMPLES,
    FRAMES_PER_TIMESTEP,
    HOP_SAMPLES,
    SAMPLE_RATE,
    TIMESTEP_SAMPLES,
)

#: Number of the format of the JSON under ``METADATA_KEY`` in a model file.
SCHEMA = 3

#: Names of the network's dynamic dimensions, and the sizes for a step of one stream.
BATCH, TIMESTEPS = "batch", "timesteps"
ONE_STEP = {BATCH: 1, TIMESTEPS: 1}

#: The signal the network was trained on; a file for another signal is refused.
SIGNAL = {
    "sample_rate": SAMPLE_RATE,
    "frame_samples": FRAME_SAMPLES,
    "hop_samples": HOP_SAMPLES,
    "frames_per_timestep": FRAMES_PER_TIMESTEP,
}

#: The state in which a network remembers the sound of its voice, see ``model/voice.py``, and the
#: input for how much of a timestep it takes in, and for how loud it is.
VOICE = "voice"
HEARD = "heard"
#: Most values in the mean that it remembers; ours have 513.
LARGEST_VOICE = 4_096

#: End position of a stream that has not ended: 1400 years, and safe from overflow when scaled.
UNKNOWN_END = 2**40

#: Errors that reading can raise; the last two come from endless numbers and brackets.
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)

#: Lineage of files that were written before there were lineages.
_NO_LINEAGE = asdict(Lineage())

_DTYPES = ("float32", "int64")
#: Most values that a stream carries; ours have 40,000.
_LARGEST_STATE = 2**24
#: Most axes of a state; ours have three, and NumPy knows no more than 64.
_MOST_AXES = 8
#: Most characters of a fact; no screen shows a longer one.
LONGEST_FACT = 5_000


@dataclass(frozen=True)
class StateSpec:
    """One state tensor: its name as input (``next_`` before it as output), and shape per stream."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and all(type(n) is int for n in self.shape)):
            raise ValueError("states must have a name and a shape of integers")
        if self.dtype not in _DTYPES:
            raise ValueError(f"state {self.name}: dtype must be one of {', '.join(_DTYPES)}")
        is_impossible = len(self.shape) > _MOST_AXES or any(size < 0 for size in self.shape)
        if is_impossible or self.size > _LARGEST_STATE:
            raise ValueError(f"state {self.name}: impossible shape {self.shape}")

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def check_model_names(model: str, labels: tuple[str, ...]) -> None:
    """Check the names of a model and its labels, before hours of training.

    Raises:
        ValueError: one cannot be shown or is too long, or labels are equal or mean a state.
    """
    check_texts((model, *labels))
    check_labels(labels)


@dataclass(frozen=True)
class ModelMetadata:
    """Facts about a model, as stored in its file.

    Attributes:
        name: name of the model.
        labels: emotions, in the order of the output.
        delay_timesteps: number of input timesteps before the first estimate.
        look_ahead_samples: the most audio after a timestep's end that its estimate depends on.
        window_timesteps: T, the rolling window.
        temperature: temperature of the calibration, already applied inside the network.
        normaliser: the front end's normaliser.
        decision: settings of the decision layer.
        states: every state tensor.
        everyday_prior: frequency of each label in everyday life, in their order; empty if
            unknown.
        lineage: what it was trained on, and which speakers were held out.
        training: recipe, seed and measured accuracy, for people to read.
        ordinary_share: share of ordinary speech in training, for a network that tells it from
            acted emotions; 0 for one that does not.
        hears_level: whether the network remembers how loud its voice usually is.
    """

    name: str
    labels: tuple[str, ...]
    delay_timesteps: int
    look_ahead_samples: int
    window_timesteps: int
    temperature: float
    normaliser: Normaliser = field(repr=False)  # long, as are others without a repr
    decision: DecisionConfig
    states: tuple[StateSpec, ...] = field(repr=False)
    everyday_prior: tuple[float, ...] = ()
    ordinary_share: float = 0.0
    lineage: Lineage = field(default_factory=Lineage, repr=False)
    training: dict[str, str] = field(default_factory=dict, repr=False)
    hears_level: bool = False

    @property
    def tells_ordinary(self) -> bool:
        """Whether the network tells ordinary speech from acted emotions."""
        return self.ordinary_share > 0

    @property
    def knows_voices(self) -> bool:
        """Whether the network remembers the sound of its voice, and takes a profile."""
        return self.voice_values > 0

    @property
    def voice_values(self) -> int:
        """Number of values in a voice's mean; 0 for a network that remembers none."""
        return next((state.size - 1 for state in self.states if state.name == VOICE), 0)

    @property
    def results(self) -> tuple[str, ...]:
        """Names of a step's outputs besides the states."""
        return ("probabilities", "attention", *(("ordinary",) if self.tells_ordinary else ()))

    def __post_init__(self) -> None:
        check_model_names(self.name, self.labels)
        check_shares(self.everyday_prior, self.labels)
        if not 0 <= self.ordinary_share < 1:
            raise ValueError(f"impossible ordinary_share {self.ordinary_share}")
        for name, text in self.training.items():
            if not all(isinstance(one, str) and one.isprintable() for one in (name, text)):
                raise ValueError("training facts must be printable text")
            if not name.strip() or len(name) > LONGEST_NAME or len(text) > LONGEST_FACT:
                raise ValueError(f"training facts must have at most {LONGEST_FACT} characters")
        counts = (self.delay_timesteps, self.look_ahead_samples, self.window_timesteps)
        if not all(isinstance(count, int) for count in counts):
            raise ValueError("delay, look-ahead and window must be whole numbers")
        if not 0 <= self.delay_timesteps < 10_000:
            raise ValueError(f"impossible delay_timesteps {self.delay_timesteps}")
        expected = self.delay_timesteps * TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES
        if self.look_ahead_samples != expected:
            raise ValueError("look_ahead_samples does not follow from delay_timesteps")
        if not 1 <= self.window_timesteps < 10_000:
            raise ValueError(f"impossible window_timesteps {self.window_timesteps}")
        if not 0 < self.temperature < 100:
            raise ValueError(f"impossible temperature {self.temperature}")
        for state in self.states:
            if state.name == VOICE and (
                state != StateSpec(VOICE, (1, state.size), "float32")
                or not 1 <= state.size - 1 <= LARGEST_VOICE
            ):
                raise ValueError(f"state {VOICE}: impossible shape {state.shape} or dtype")
        if type(self.hears_level) is not bool:
            raise ValueError(f"hears_level must be true or false, is {self.hears_level!r}")
        if self.hears_level and not self.knows_voices:
            raise ValueError(f"hears_level takes a state {VOICE}")
        if len({state.name for state in self.states}) < len(self.states):
            raise ValueError("states must have different names")
        if sum(state.size for state in self.states) > _LARGEST_STATE:
            raise ValueError(f"states must have at most {_LARGEST_STATE} values in all")

    @property
    def look_ahead_ms(self) -> float:
        return 1000.0 * self.look_ahead_samples / SAMPLE_RATE

    def to_json(self) -> str:
        values = asdict(self)
        prior = self.normaliser.prior_spectrum
        values["normaliser"]["prior_spectrum"] = [float(f"{value:.6g}") for value in prior]
        return json.dumps({"schema": SCHEMA, "signal": SIGNAL, **values})

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Read the output of :meth:`to_json`.

        Raises:
            SerLiveError: it is of another schema, incomplete or impossible.
        """
        try:
            values = json.loads(text)
            schema = values.pop("schema")
            if schema != SCHEMA:
                raise SerLiveError(
                    f"its metadata has schema {repr(schema)[:LONGEST_NAME]}, this ser-live reads "
                    f"schema {SCHEMA}: export the model again, or install the ser-live it was "
                    "made for"
                )
            if values.pop("signal") != SIGNAL:
                raise ValueError("made for another sample rate or frame length")
            normaliser = dict(values.pop("normaliser"))
            prior = np.asarray(normaliser.pop("prior_spectrum"), np.float64)
            return cls(
                labels=tuple(values.pop("labels")),
                normaliser=Normaliser(prior_spectrum=prior, **normaliser),
                decision=DecisionConfig(**values.pop("decision")),
                states=tuple(
                    StateSpec(state["name"], tuple(state["shape"]), state["dtype"])
                    for state in values.pop("states")
                ),
                everyday_prior=tuple(values.pop("everyday_prior", ())),
                lineage=Lineage.from_dict(values.pop("lineage", _NO_LINEAGE)),
                **values,
            )
        except _UNREADABLE as error:
            reason = str(error)[:LONGEST_NAME]
            raise SerLiveError(f"its metadata is incomplete or wrong ({reason})") from error
