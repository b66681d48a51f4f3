"""Parses values from a session's JSON lines, which need not be trusted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from streamer.formats.lines import SCHEMA
from streamer.recognition.decision import SILENCE, check_labels, names_of
from streamer.recognition.prior import BALANCED, PRIORS
from streamer.recognition.profile import TOLD
from streamer.session.events import Gap, SessionEnded, SessionStarted

#: Three years: longer times and durations are damage.
LONGEST_S = 1e8
_HIGHEST_RATE = 10_000_000
_MOST_CHANNELS = 1_024


class Wrong(Exception):
    """A line is not valid; the message says why."""


def header_of(values: dict[str, Any]) -> SessionStarted:
    """Return the event of a session line.

    Raises:
        Wrong: it is not valid.
    """
    schema = values.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise Wrong(f"schema {shown(schema)}; this ser-live reads schema {SCHEMA}")
    labels = values.get("labels")
    if type(labels) is not list or any(type(label) is not str for label in labels):
        raise Wrong("labels must be two or more different names")
    try:
        check_labels(tuple(labels))
    except ValueError as error:
        raise Wrong(str(error)) from error
    try:
        started = datetime.fromisoformat(_text(values, "started"))
    except ValueError as error:
        raise Wrong("started must be a date and time in ISO 8601") from error
    if started.tzinfo is None:
        raise Wrong("started must say its time zone")
    # Older files, from before there was a choice, do not name it.
    prior = values.get("prior", BALANCED)
    if prior not in PRIORS:
        raise Wrong(f"prior must be one of {', '.join(PRIORS)}, is {shown(prior)}")
    return SessionStarted(
        source=_text(values, "source"),
        sample_rate=_whole(values, "sample_rate", 1, _HIGHEST_RATE),
        model=_text(values, "model"),
        labels=tuple(labels),
        look_ahead_ms=_number(values, "look_ahead_ms", 1000 * LONGEST_S),
        started=started,
        prior=prior,
        adaptation=_adaptation(values),
        channel=channel_of(values),
    )


def _adaptation(values: dict[str, Any]) -> str | None:
    """Return the adaptation; files of models that do not adapt to voices have none."""
    if values.get("adaptation") is None:
        return None
    adaptation = _text(values, "adaptation")
    if not TOLD.fullmatch(adaptation):
        raise Wrong(f"adaptation {shown(adaptation)} is none")
    return adaptation


def gap_of(values: dict[str, Any], sample_rate: int) -> Gap:
    """Return the event of a gap line.

    Raises:
        Wrong: it is not valid.
    """
    lost = _whole(values, "lost_samples", 1, int(LONGEST_S * sample_rate))
    return Gap(time_of(values), lost, _text(values, "reason"), channel_of(values))


def channel_of(values: dict[str, Any]) -> int | None:
    """Return the channel, if there is one.

    Raises:
        Wrong: it is not a channel.
    """
    return None if values.get("channel") is None else _whole(values, "channel", 1, _MOST_CHANNELS)


def time_of(values: dict[str, Any]) -> float:
    """Return the time.

    Raises:
        Wrong: it is not a time.
    """
    return _number(values, "time", LONGEST_S)


def end_of(values: dict[str, Any], labels: tuple[str, ...]) -> SessionEnded:
    """Return the event of an end line.

    Raises:
        Wrong: it is not valid.
    """
    overall = values.get("overall")
    if overall not in (*labels, SILENCE):
        raise Wrong(f"overall {shown(overall)} is none of the session's labels")
    return SessionEnded(
        duration_s=_number(values, "duration", LONGEST_S),
        estimates=_whole(values, "estimates", 0, int(LONGEST_S * _HIGHEST_RATE)),
        summary=_shares(values, "summary", names_of(labels)),
        overall=overall,
        probabilities=_shares(values, "probabilities", labels),
        channel=channel_of(values),
    )


def _shares(values: dict[str, Any], key: str, names: tuple[str, ...]) -> dict[str, float]:
    shares = values.get(key)
    if type(shares) is not dict:
        raise Wrong(f"{key} must be an object")
    return {name: _number(shares, name, 1.0) for name in names}


def _number(values: dict[str, Any], key: str, largest: float) -> float:
    value = values.get(key)
    if (type(value) is not int and type(value) is not float) or not 0.0 <= value <= largest:
        raise Wrong(f"{key} must be a number in 0..{largest:g}")
    return float(value)


def _whole(values: dict[str, Any], key: str, smallest: int, largest: int) -> int:
    value = values.get(key)
    if type(value) is not int or not smallest <= value <= largest:
        raise Wrong(f"{key} must be a whole number in {smallest}..{largest}")
    return value


def _text(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    if type(value) is not str:
        raise Wrong(f"{key} must be text")
    return value


def shown(value: object) -> str:
    """Return a value of the file in a few characters."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
