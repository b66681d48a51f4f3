"""Parses clients' messages, which need not be trusted, and words refusals.

``asyncapi.json`` beside this file describes the protocol for other programs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, TypeVar

from streamer.errors import SerLiveError, printable
from streamer.recognition.prior import PRIORS, Prior
from streamer.recognition.profile import LONGEST_PROFILE, Profile
from streamer.signal import RATES
from streamer.sound.channels import CHANNELS, MIX, Channels
from streamer.sound.pcm import ENCODINGS

_Name = TypeVar("_Name", bound=str)

#: Most characters in the name of a client's audio.
LONGEST_NAME = 200
#: Most characters in a JSON message; ours have 200.
LONGEST_TEXT = 4_096
#: ... and in the first message, which may hold a profile.
LONGEST_START = LONGEST_TEXT + LONGEST_PROFILE
#: Most channels that a client may split: each costs as much as a client.
MOST_SPLIT = 8
_MOST_DIGITS = 9
#: Values in a URL, as in JSON.
_TRUTHS = {"true": True, "false": False}
#: Most bytes of the reason in a closing frame (RFC 6455, 5.5.1).
_LONGEST_REASON = 123


class Code(IntEnum):
    """Close codes (RFC 6455, 7.4.1, and its registry)."""

    DONE = 1000
    GOING_AWAY = 1001
    UNSUPPORTED = 1003
    BAD_AUDIO = 1007
    POLICY = 1008
    TOO_BIG = 1009
    FAILED = 1011
    TRY_LATER = 1013


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection ends.

    Attributes:
        code: code of the closing frame.
        reason: text for the client's author.
    """

    code: Code
    reason: str

    @property
    def is_refusal(self) -> bool:
        """Whether the client or the server did something wrong."""
        return self.code not in (Code.DONE, Code.GOING_AWAY)

    @property
    def message(self) -> str:
        """The JSON message before the closing frame of a refusal."""
        return json.dumps({"type": "error", "message": self.reason}, separators=(",", ":"))

    @property
    def short_reason(self) -> str:
        """As much of the reason as fits a closing frame."""
        return self.reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


class Refused(Exception):
    """A client is refused, with a reason."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.ending = Ending(code, reason)


@dataclass(frozen=True, slots=True)
class Start:
    """The first message: the format of the audio, and options.

    Attributes:
        sample_rate: in Hz.
        channels: number of interleaved channels.
        sample_format: a name in :data:`streamer.sound.pcm.ENCODINGS`.
        wanted: channels to use.
        prior: the assumed frequency of each label; None for the server's default.
        model: name of one of the server's models; None for its first.
        source: name of the audio, returned in the session message.
        profile: prior knowledge of the voice; None for nothing.
        adapts: whether the stream adapts to the voice; None for the server's default.
        enrols: whether a profile of the voice is wanted in the end.
    """

    sample_rate: int
    channels: int = 1
    sample_format: str = "s16le"
    wanted: Channels = MIX
    prior: Prior | None = None
    model: str | None = None
    source: str = "stream"
    profile: Profile | None = None
    adapts: bool | None = None
    enrols: bool = False

    @property
    def streams(self) -> int:
        """How many of the server's streams it uses."""
        return self.channels if self.wanted.is_split else 1


def read_object(text: str, longest: int = LONGEST_TEXT) -> dict[str, Any]:
    """Parse a JSON message with a type, of so many characters at most.

    Raises:
        Refused: it is not such a message.
    """
    if len(text) > longest:
        raise Refused(Code.TOO_BIG, f"this text message may have {longest} characters at most")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(Code.UNSUPPORTED, "a text message must be a JSON object") from error
    if not isinstance(values, dict) or not isinstance(values.get("type"), str):
        raise Refused(Code.UNSUPPORTED, 'a text message must be a JSON object with a "type"')
    return values


def read_start(text: str) -> Start:
    """Parse the first message.

    Raises:
        Refused: it is not such a message, or requests something unavailable.
    """
    values = read_object(text, LONGEST_START)
    if values.pop("type") != "start":
        raise Refused(Code.POLICY, 'the first message must be of the type "start"')
    return _start_of(values)


def start_in_address(query: Mapping[str, str]) -> Start | None:
    """Parse the same from a URL, ``?sample_rate=16000&channels=1``; None if it has none of it.

    This is for clients that can send only binary messages.

    Raises:
        Refused: it requests something unavailable.
    """
    if "sample_rate" not in query:
        return None
    values: dict[str, Any] = {key: value for key, value in query.items() if key != "token"}
    for key in ("sample_rate", "channels", "channels_wanted"):
        number = values.get(key, "")
        if number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS:
            values[key] = int(number)
    for key in ("adapts", "enrols"):
        if values.get(key) in _TRUTHS:
            values[key] = _TRUTHS[values[key]]
    return _start_of(values)


def _start_of(values: dict[str, Any]) -> Start:
    own = [one.name for one in fields(Start) if one.name != "wanted"]
    known = (*own, "channels_wanted")
    if unknown := sorted(set(values) - set(known)):
        raise Refused(
            Code.POLICY,
            f"start: there is no field {_shown(unknown[0])}; there are {', '.join(known)}",
        )
    if "sample_rate" not in values:
        raise Refused(Code.POLICY, "start: sample_rate is missing")
    channels = _whole(values, "channels", CHANNELS) if "channels" in values else 1
    wanted = _wanted(values.get("channels_wanted", "mix"), channels)
    return Start(
        _whole(values, "sample_rate", RATES),
        channels,
        _one_of(values, "sample_format", tuple(ENCODINGS)) or "s16le",
        wanted,
        _one_of(values, "prior", PRIORS),
        _name(values, "model"),
        _name(values, "source") or "stream",
        _profile(values, wanted),
        _truth(values, "adapts"),
        _enrols(values, wanted),
    )


def read_end(text: str) -> None:
    """Check a later text message, which can only end the stream.

    Raises:
        Refused: it is another message.
    """
    values = read_object(text)
    if values != {"type": "end"}:
        raise Refused(
            Code.POLICY,
            f'after start comes binary audio, then {{"type":"end"}}; not {_shown(values)}',
        )


def _whole(values: dict[str, Any], key: str, allowed: range) -> int:
    value = values[key]
    if type(value) is not int or value not in allowed:
        raise Refused(
            Code.POLICY,
            f"start: {key} must be a whole number in {allowed[0]}..{allowed[-1]}, is "
            f"{_shown(value)}",
        )
    return value


def _one_of(values: dict[str, Any], key: str, allowed: tuple[_Name, ...]) -> _Name | None:
    if key not in values:
        return None
    value = values[key]
    found = next((one for one in allowed if one == value), None)
    if found is None:
        raise Refused(
            Code.POLICY,
            f"start: {key} must be one of {', '.join(allowed)}, is {_shown(value)}",
        )
    return found


def _wanted(value: object, channels: int) -> Channels:
    is_number = type(value) is int and value in range(1, channels + 1)
    if not is_number and value not in ("mix", "split"):
        raise Refused(
            Code.POLICY,
            f"start: channels_wanted must be mix, split, or a number from 1 to channels, is "
            f"{_shown(value)}",
        )
    if value == "split" and channels > MOST_SPLIT:
        raise Refused(
            Code.POLICY, f"start: {MOST_SPLIT} channels at most can be split, there are {channels}"
        )
    try:
        return Channels.parse(str(value))
    except SerLiveError as error:
        raise Refused(Code.POLICY, f"start: {error}") from error


def _profile(values: dict[str, Any], wanted: Channels) -> Profile | None:
    if "profile" not in values:
        return None
    if wanted.is_split:
        raise Refused(
            Code.POLICY, "start: a profile is of one voice; channels_wanted must be mix or a number"
        )
    try:
        return Profile.from_values(values["profile"])
    except SerLiveError as error:
        raise Refused(Code.POLICY, f"start: profile: {printable(error)}") from error


def _enrols(values: dict[str, Any], wanted: Channels) -> bool:
    if not _truth(values, "enrols"):
        return False
    if other := next((key for key in ("profile", "adapts") if key in values), None):
        raise Refused(Code.POLICY, f"start: enrols makes a profile; leave {other} out")
    if wanted.is_split:
        raise Refused(
            Code.POLICY, "start: a profile is of one voice; channels_wanted must be mix or a number"
        )
    return True


def _truth(values: dict[str, Any], key: str) -> bool | None:
    value = values.get(key)
    if key in values and type(value) is not bool:
        raise Refused(Code.POLICY, f"start: {key} must be true or false, is {_shown(value)}")
    return value


def _name(values: dict[str, Any], key: str) -> str | None:
    if key not in values:
        return None
    value = values[key]
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= LONGEST_NAME:
        raise Refused(
            Code.POLICY, f"start: {key} must be printable text of 1 to {LONGEST_NAME} characters"
        )
    return value


def _shown(value: object) -> str:
    """Return a client's value in a few characters."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
