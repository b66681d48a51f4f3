"""The parts of the demo's recording: what is acted when, and what was shown there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from streamer.percentages import whole_percents
from streamer.recognition.decision import SILENCE, WARMING_UP
from streamer.session.events import Estimated, Event

#: Beginning in seconds and acted emotion of each part of ``assets/demo.flac``, which joins the four
#: clips of CREMA-D that ``assets/SOURCES.md`` names; the last ends the recording.
DEMO_PARTS = ((0.0, "neutral"), (2.469125, "angry"), (5.1384375, "sad"), (7.841125, "happy"))
#: What the default model shows longest in each part.
DEMO_SHOWN = ("neutral", "angry", "sad", "happy")
#: Length of the recording in seconds.
DEMO_S = 10.0099375


class Guide:
    """A sink that says what is acted when it begins, and counts what is shown meanwhile."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        """Begin before the first part; ``announce`` shows a line for a moment."""
        self._announce = announce
        self._shown: list[Counter[str]] = []

    def take(self, event: Event) -> None:
        if not isinstance(event, Estimated):
            return
        time_s, label = event.estimate.time, event.estimate.label
        begun = len(self._shown)
        if begun < len(DEMO_PARTS) and time_s > DEMO_PARTS[begun][0]:
            self._shown.append(Counter())
            self._announce(f"the actor now says the sentence {DEMO_PARTS[begun][1]}; q quits")
        if label not in (SILENCE, WARMING_UP):
            self._shown[-1][label] += 1

    def lines(self) -> list[str]:
        """Return a line for each part with speech so far: what was acted, and what was shown."""
        lines = []
        for (_, acted), counts in zip(DEMO_PARTS, self._shown, strict=False):
            shown = counts.most_common()
            wholes = whole_percents([count / counts.total() for _, count in shown])
            named = (f"{label} {whole}%" for (label, _), whole in zip(shown, wholes, strict=True))
            if shown:
                lines.append(f"acted {acted}, shown as {', '.join(named)}")
        return lines
