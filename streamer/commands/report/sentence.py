"""Describes a session in one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping

from streamer.commands.report.drawing.axis import clock
from streamer.commands.report.facts import Facts, longest_stretch
from streamer.counting import counted
from streamer.formats.lines import close_second
from streamer.formats.reader import RecordedSession
from streamer.percentages import whole_percents
from streamer.recognition.decision import SILENCE, UNCERTAIN

_MIXED = "mixed overall, "
_MOSTLY = 0.5
#: Share of doubt that is worth mentioning.
_DOUBTFUL = 0.2
#: A stretch is worth mentioning if it takes this share of the time, and this long, in seconds.
_LEAST_SHARE, _LEAST_S, _ENOUGH_S = 0.01, 1.0, 10.0


def sentence(session: RecordedSession, facts: Facts) -> str:
    """Return the session's emotions, its losses and its latency in words.

    Shares of emotions are shares of the speech, as in the command's line for people.
    """
    length, speech = duration(facts.duration_s), f"{times_of(facts)['speech']} of it speech"
    if not facts.speech:
        how = "Over" if facts.verdict is not None else "Cut short after"
        parts = [f"{how} {length}, no speech"]
    elif facts.verdict is None:
        parts = [f"Cut short after {length}, so without a verdict; {speech}: {_shown(facts)}"]
    else:
        parts = [f"Over {length}, {speech}: {_verdict(facts, session)}"]
    doubt = facts.shares[UNCERTAIN]
    if doubt >= _DOUBTFUL and f"{UNCERTAIN} " not in parts[0]:
        parts.append(f"uncertain for {percents(facts.shares)[UNCERTAIN]} of speech")
    parts += _stretch(session, facts)
    if facts.gaps:
        gaps = counted(facts.gaps, "gap")
        parts.append(f"{seconds(facts.lost_s)} lost in {gaps}")
    if facts.latency is not None:
        p50, p95 = facts.latency.p50, facts.latency.p95
        parts.append(f"answers came {p50:.0f} ms late (p95 {p95:.0f})")
    return "; ".join(parts) + "."


def _verdict(facts: Facts, session: RecordedSession) -> str:
    """Return the verdict, with the share of speech for which it was shown."""
    end, said = session.end, facts.verdict
    if end is None or said is None:
        return ""
    shown = percents(facts.shares)
    if end.overall == SILENCE:
        return said.removesuffix(" overall")
    if said.startswith(_MIXED) and (other := close_second(end)) is not None:
        both = f"{shown[end.overall]} and {shown[other]}"
        return f"{said} ({both} of speech)"
    share = facts.shares[end.overall]
    if not share:
        return said
    leader = _leader(facts, session)
    if leader == end.overall:
        how = f"mostly {leader}" if share >= _MOSTLY else said
        return f"{how} ({shown[leader]} of speech)"
    return (
        f"{said} ({shown[end.overall]} of speech), although {leader} was shown longer "
        f"({shown[leader]})"
    )


def _leader(facts: Facts, session: RecordedSession) -> str:
    """Return the emotion that was shown longest."""
    return max(session.header.labels, key=facts.shares.__getitem__)


def _shown(facts: Facts) -> str:
    """Return the label that was shown longest in a session with speech."""
    longest = max(facts.shares, key=facts.shares.__getitem__)
    is_most = facts.shares[longest] >= _MOSTLY
    how = f"mostly {longest}" if is_most else f"{longest} was shown longest"
    return f"{how} ({percents(facts.shares)[longest]} of speech)"


def _stretch(session: RecordedSession, facts: Facts) -> list[str]:
    """Return when an emotion other than the main one held longest."""
    is_mixed = facts.verdict is not None and facts.verdict.startswith(_MIXED)
    main = [] if is_mixed else [_leader(facts, session)]
    if not is_mixed and session.end is not None:  # already named in the sentence
        main.append(session.end.overall)
    found = longest_stretch(session, main)
    least_s = min(max(_LEAST_SHARE * facts.duration_s, _LEAST_S), _ENOUGH_S)
    if found is None or found.end_s - found.start_s < least_s:
        return []
    start, end = (clock(round(one, 1), facts.duration_s) for one in (found.start_s, found.end_s))
    unit = " s" if facts.duration_s < 60.0 else ""
    what = "the longest stretch" if is_mixed else "the longest other stretch"
    return [f"{what}: {found.label}, from {start} to {end}{unit}"]


def duration(length_s: float) -> str:
    """Format a length: 11.1 s, 12 min 4 s, 2 h 3 min."""
    if round(length_s, 1) < 60.0:
        return seconds(length_s)
    whole = round(length_s)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(length_s / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def seconds(length_s: float) -> str:
    """Format seconds to a tenth, shorter ones to two digits."""
    return f"{length_s:.2g} s" if length_s < 0.95 else f"{round(length_s, 1):g} s"


def _percent(share: float, whole: int) -> str:
    if whole == 0 and share > 0.0:
        return "<1%"
    if whole == 100 and share < 1.0:
        return ">99%"
    return f"{whole}%"


def percents(shares: Mapping[str, float]) -> dict[str, str]:
    """Format the shares of one whole so that they add up; 0 and 100 mean exactly that."""
    wholes = whole_percents(list(shares.values()))
    return {
        name: _percent(share, whole)
        for (name, share), whole in zip(shares.items(), wholes, strict=True)
    }


def times_of(facts: Facts) -> dict[str, str]:
    """Return the shares of the time in words: of speech, silence and lost audio."""
    lost = min(1.0, facts.lost_s / facts.duration_s)
    return percents({"speech": facts.speech, SILENCE: facts.silence, "lost": lost})
