"""What is known of a voice before a stream begins: numbers that a network has made of its speech.

A profile holds no audio, and none can be made of it; but like a picture of a face it tells one
person from another, and is to be kept as such.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.modelfile.lineage import LONGEST_NAME, check_texts
from streamer.modelfile.metadata import LARGEST_VOICE, ModelMetadata
from streamer.outputs import check_output, write_whole

SCHEMA = 1
#: Characters of a profile as JSON; ours have 7,000.
LONGEST_PROFILE = 1 << 16
#: What a stream takes in of its voice at a timestep of speech, as ``model/voice.py`` has it:
#: nothing; as far as it sounds ordinary; all of it, because it is known to be ordinary.
NOTHING, ORDINARY, ALL = 0.0, 1.0, 2.0

#: Ours are below a hundred, and nothing overflows.
_LARGEST_VALUE = 1e6
#: An hour; ours forget what is more than a minute ago.
_MOST_TIMESTEPS = 90_000.0
_DIGEST = re.compile("[0-9a-f]{64}")
#: Digits of a digest that tell profiles apart.
_DIGEST_DIGITS = 12
#: What reading can raise; the last one of brackets without end.
_UNREADABLE = (KeyError, TypeError, ValueError, RecursionError)

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a voice sounds in ordinary speech, as one model hears it.

    Attributes:
        mean: of what the network's windows held, float32 in their shortest decimal form.
        timesteps: of speech in the mean, less what was forgotten since.
        model: name of the model.
        digest: SHA-256 of the model's file, 64 hexadecimal digits.
        made: when; with its time zone.
    """

    mean: tuple[float, ...] = field(repr=False)
    timesteps: float
    model: str
    digest: str
    made: datetime

    def __post_init__(self) -> None:
        if not 1 <= len(self.mean) <= LARGEST_VOICE:
            raise ValueError(f"mean must have 1 to {LARGEST_VOICE} values")
        if not all(_is_number(one) and abs(one) <= _LARGEST_VALUE for one in self.mean):
            raise ValueError(f"mean must be of numbers within +-{_LARGEST_VALUE:g}")
        if not (_is_number(self.timesteps) and 0 < self.timesteps <= _MOST_TIMESTEPS):
            raise ValueError(f"timesteps must be a number above 0, of {_MOST_TIMESTEPS:g} at most")
        check_texts((self.model,))
        if not isinstance(self.digest, str) or not _DIGEST.fullmatch(self.digest):
            raise ValueError("digest must be 64 hexadecimal digits")
        if self.made.tzinfo is None:
            raise ValueError("made must say its time zone")

    @classmethod
    def of_voice(cls, voice: Float32, model: str, digest: str, made: datetime) -> Self:
        """The profile of what a network remembers, ``(values + 1,)``: the mean, and its timesteps.

        Raises:
            ValueError: it remembers nothing yet, or what is no mean.
        """
        *mean, timesteps = (float(str(value)) for value in voice)
        return cls(tuple(mean), timesteps, model, digest, made.replace(microsecond=0))

    @property
    def voice(self) -> Float32:
        """What a network that knows it remembers, as of :meth:`of_voice`."""
        return np.array([*self.mean, self.timesteps], np.float32)

    @property
    def short_digest(self) -> str:
        """Tells it from other profiles, of the same voice too."""
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()
        return digest[:_DIGEST_DIGITS]

    def check(self, metadata: ModelMetadata, digest: str) -> None:
        """Refuse a profile that another model has made.

        Args:
            metadata: of the model that it is for.
            digest: of its file.

        Raises:
            SerLiveError: it is of another model, or damaged.
        """
        if self.digest != digest:
            other = "another version of it" if metadata.name == self.model else metadata.name
            raise SerLiveError(
                f"it was made with the model {self.model}, this is {other}: make a new one with "
                "ser-live enrol"
            )
        if len(self.mean) != metadata.voice_values:
            raise SerLiveError(
                f"it is damaged: it has {len(self.mean)} values, the model's have "
                f"{metadata.voice_values}"
            )

    def to_values(self) -> dict[str, Any]:
        """What is written of it: the object of its JSON."""
        return {
            "type": "profile",
            "schema": SCHEMA,
            "model": self.model,
            "digest": self.digest,
            "made": self.made.isoformat(timespec="seconds"),
            "timesteps": self.timesteps,
            "mean": list(self.mean),
        }

    def to_json(self) -> str:
        """One line; a server takes it as the ``profile`` of a stream."""
        return json.dumps(self.to_values(), separators=(",", ":"))

    @classmethod
    def from_values(cls, values: object) -> Self:
        """Read what :meth:`to_values` gave, with distrust; further keys are passed over.

        Raises:
            SerLiveError: it is no profile, or an impossible one.
        """
        if not isinstance(values, dict) or values.get("type") != "profile":
            raise SerLiveError("it is no profile of a voice, as ser-live enrol makes them")
        schema = values.get("schema")
        if type(schema) is not int or schema != SCHEMA:
            raise SerLiveError(
                f"it has schema {repr(schema)[:LONGEST_NAME]}, this ser-live reads schema {SCHEMA}"
            )
        try:
            mean = values["mean"]
            if type(mean) is not list:
                raise ValueError("mean must be a list")
            made = datetime.fromisoformat(values["made"])
            return cls(tuple(mean), values["timesteps"], values["model"], values["digest"], made)
        except KeyError as error:
            raise SerLiveError(f"it is damaged: {error.args[0]} is missing") from error
        except _UNREADABLE as error:
            raise SerLiveError(f"it is damaged: {str(error)[:LONGEST_NAME]}") from error

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a file that :meth:`save` wrote; it is trusted with nothing.

        Raises:
            SerLiveError: it cannot be read, or is no profile.
        """
        try:
            return cls.from_values(json.loads(_read(Path(path))))
        except SerLiveError as error:
            raise SerLiveError(f"profile {path}: {error}") from error
        except _UNREADABLE as error:
            raise SerLiveError(f"profile {path}: it is no profile of a voice, nor JSON") from error

    def save(self, path: Path | str, force: bool = False) -> None:
        """Write a file, whole or not at all.

        Args:
            path: of the file.
            force: an older profile may be overwritten, and nothing else.

        Raises:
            SerLiveError: as of :func:`check_place`.
            RunFailure: it cannot be written.
        """
        check_place(Path(path), force)
        write_whole(Path(path), self.to_json() + "\n", force)


def check_place(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse to write a profile where something else would be lost.

    Raises:
        SerLiveError: as of :func:`streamer.outputs.check_output`; or what is there is no profile,
            which is not overwritten by force either.
    """
    check_output(path, force, inputs)
    if not os.access(path.parent, os.W_OK | os.X_OK):  # before somebody talks in vain
        raise SerLiveError(f"cannot write {path}: no permission in {path.parent}")
    if os.path.lexists(path):
        try:
            if not path.is_file():  # a pipe would be waited for
                raise SerLiveError("no file")
            Profile.load(path)
        except SerLiveError as error:
            raise SerLiveError(
                f"{path} is there and is no profile that can be read: name another file, or "
                "remove it"
            ) from error


#: What is told of a stream that gets to know its voice from the beginning.
USUAL = "stream"
#: All that may be told of an adaptation.
TOLD = re.compile(f"off|{USUAL}|profile [0-9a-f]{{{_DIGEST_DIGITS}}}( fixed)?")


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How streams go about the voice that they hear.

    Attributes:
        profile: what they know of it when they begin; None: nothing.
        adapts: whether they get to know it better as they hear it.
    """

    profile: Profile | None = None
    adapts: bool = True

    def told(self, metadata: ModelMetadata) -> str | None:
        """In a few words, for results; None of a model that knows no voices.

        ``off``, ``stream`` or ``profile 0123456789ab``, after which ``fixed`` says that the
        profile was all that was known, to the end.
        """
        if not metadata.knows_voices:
            return None
        if self.profile is None:
            return USUAL if self.adapts else "off"
        return f"profile {self.profile.short_digest}" + ("" if self.adapts else " fixed")


#: A stream that knows nothing of its voice when it begins.
UNKNOWN_VOICE = Adaptation()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_PROFILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise SerLiveError(f"cannot be read: {reason}") from error
    if len(data) > LONGEST_PROFILE:
        raise SerLiveError("it is no profile of a voice: too large for one")
    return data.decode("utf-8-sig")  # Notepad writes a mark before it


def _is_number(value: object) -> bool:
    """Whether it is a finite number, and no truth value."""
    return type(value) is int or (type(value) is float and math.isfinite(value))
