"""Voice profiles: numbers that a network computed from a voice's speech before the stream begins.

A profile holds no audio, and none can be made from it. But like a photo of a face it identifies a
person, and needs the same protection.
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
from streamer.outputs import check_output, write_whole
from streamer.recognition.metadata import LARGEST_VOICE, ModelMetadata

SCHEMA = 1
#: Characters of a profile as JSON; ours have 7,000.
LONGEST_PROFILE = 1 << 16
#: How much a stream takes in of its voice at a timestep of speech, as in ``model/voice.py``:
#: nothing; as far as it sounds ordinary; all of it, because it is known to be ordinary.
NOTHING, ORDINARY, ALL = 0.0, 1.0, 2.0

#: Ours are below a hundred; with this limit nothing overflows.
_LARGEST_VALUE = 1e6
#: An hour; our models forget speech of more than a minute ago.
_MOST_TIMESTEPS = 90_000.0
_DIGEST = re.compile("[0-9a-f]{64}")
#: Digits of a digest that are enough to tell profiles apart.
_DIGEST_DIGITS = 12
#: Errors that reading can raise; the last comes from endless brackets.
_UNREADABLE = (KeyError, TypeError, ValueError, RecursionError)

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Profile:
    """The ordinary sound of a voice, as one model hears it.

    Attributes:
        mean: mean of the network's windows, and, for a model that hears levels, of the level in dB;
            float32 in their shortest decimal form.
        timesteps: timesteps of speech in the mean, less those forgotten since.
        model: name of the model.
        digest: SHA-256 of the model's file, 64 hexadecimal digits.
        made: time at which it was made, with time zone.
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
        """Make a profile from a network's memory, ``(values + 1,)``: the mean, and its timesteps.

        Raises:
            ValueError: the memory is empty, or is not a mean.
        """
        *mean, timesteps = (float(str(value)) for value in voice)
        return cls(tuple(mean), timesteps, model, digest, made.replace(microsecond=0))

    @property
    def voice(self) -> Float32:
        """The network's memory of the voice, as in :meth:`of_voice`."""
        return np.array([*self.mean, self.timesteps], np.float32)

    @property
    def short_digest(self) -> str:
        """Digits that tell it from other profiles, including those of the same voice."""
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()
        return digest[:_DIGEST_DIGITS]

    def check(self, metadata: ModelMetadata, digest: str) -> None:
        """Check that this model made the profile.

        Args:
            metadata: the model's metadata.
            digest: the SHA-256 digest of its file.

        Raises:
            SerLiveError: another model made it, or it is damaged.
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
        """Return the object for its JSON."""
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
        """Return one line of JSON; a server takes it as the ``profile`` of a stream."""
        return json.dumps(self.to_values(), separators=(",", ":"))

    @classmethod
    def from_values(cls, values: object) -> Self:
        """Read the output of :meth:`to_values`, untrusted; ignore further keys.

        Raises:
            SerLiveError: it is not a profile, or an impossible one.
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
        """Read a file that :meth:`save` wrote; it need not be trusted.

        Raises:
            SerLiveError: it cannot be read, or is not a profile.
        """
        try:
            return cls.from_values(json.loads(_read(Path(path))))
        except SerLiveError as error:
            raise SerLiveError(f"profile {path}: {error}") from error
        except _UNREADABLE as error:
            raise SerLiveError(f"profile {path}: it is no profile of a voice, nor JSON") from error

    def save(self, path: Path | str, force: bool = False) -> None:
        """Write a file, completely or not at all.

        Args:
            path: path of the file.
            force: whether to overwrite an older profile; nothing else is overwritten.

        Raises:
            SerLiveError: as in :func:`check_place`.
            RunFailure: it cannot be written.
        """
        check_place(Path(path), force)
        write_whole(Path(path), f"{self.to_json()}\n".encode(), force)


def check_place(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Check that writing a profile here destroys nothing else.

    Raises:
        SerLiveError: as in :func:`streamer.outputs.check_output`; or the file there is not a
            profile, which not even force overwrites.
    """
    check_output(path, force, inputs)
    if not os.access(path.parent, os.W_OK | os.X_OK):  # before the user talks in vain
        raise SerLiveError(f"cannot write {path}: no permission in {path.parent}")
    if os.path.lexists(path):
        try:
            if not path.is_file():  # a pipe would block
                raise SerLiveError("no file")
            Profile.load(path)
        except SerLiveError as error:
            raise SerLiveError(
                f"{path} is there and is no profile that can be read: name another file, or "
                "remove it"
            ) from error


#: The adaptation of a stream that learns its voice from the beginning.
USUAL = "stream"
#: Matches every text for an adaptation.
TOLD = re.compile(f"off|{USUAL}|profile [0-9a-f]{{{_DIGEST_DIGITS}}}( fixed)?")


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How streams adapt to the voice that they hear.

    Attributes:
        profile: what they know of it when they begin; None for nothing.
        adapts: whether they learn it further as they hear it.
    """

    profile: Profile | None = None
    adapts: bool = True

    def told(self, metadata: ModelMetadata) -> str | None:
        """Return a short text for results; None if the model does not adapt to voices.

        It is ``off``, ``stream`` or ``profile 0123456789ab``, followed by ``fixed`` if the stream
        learns nothing beyond the profile.
        """
        if not metadata.knows_voices:
            return None
        if self.profile is None:
            return USUAL if self.adapts else "off"
        return f"profile {self.profile.short_digest}" + ("" if self.adapts else " fixed")


#: For a stream that begins with no knowledge of its voice.
UNKNOWN_VOICE = Adaptation()


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # a pipe without a writer would wait for ever
            raise SerLiveError("it is no regular file")
        with path.open("rb") as file:
            data = file.read(LONGEST_PROFILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that is not valid for a file
        reason = error.strerror if isinstance(error, OSError) else error
        raise SerLiveError(f"cannot be read: {reason}") from error
    if len(data) > LONGEST_PROFILE:
        raise SerLiveError("it is no profile of a voice: too large for one")
    return data.decode("utf-8-sig")  # Notepad writes a mark before it


def _is_number(value: object) -> bool:
    """Return whether it is a finite number and not a boolean."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def check_type(profile: object) -> None:
    """Check that a caller of the library gave a profile.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(profile, Profile):
        raise ValueError(
            "profile must be a Profile, which Profile.load(path) reads and "
            f"Profile.from_values(values) makes; is {type(profile).__name__}"
        )
