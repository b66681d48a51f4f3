"""A page: sessions in words, their timelines over one axis, and their figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.appearance import STATE_CODES, Look
from streamer.commands.report.drawing.ink import FAINT, INK, shared_looks
from streamer.commands.report.drawing.latencies import draw_latencies
from streamer.commands.report.drawing.legend import draw_legend, shown_looks
from streamer.commands.report.drawing.overview import overview, timesteps_per_column
from streamer.commands.report.drawing.picture import Drawing, Picture, draw_picture
from streamer.commands.report.drawing.shapes import Shape, Text, fitted, wrapped
from streamer.commands.report.drawing.shares import draw_shares
from streamer.commands.report.drawing.table import Column, columns_of, draw_table
from streamer.commands.report.drawing.timelines import Strand
from streamer.commands.report.facts import Facts, facts_of
from streamer.commands.report.sentence import sentence
from streamer.commands.report.sound import Sound
from streamer.errors import SerLiveError, printable
from streamer.formats.reader import RecordedSession
from streamer.signal import TIMESTEP_S

#: More would not be readable on a page.
MOST_SESSIONS = 16
_MARGIN, _BETWEEN = 24.0, 28.0
_WIDTH = 920.0
_TITLE_SIZE, _SENTENCE_SIZE, _SIZE = 15.0, 12.0, 11.0
_LINE = 16.0
_MOST_LINES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A session of a page.

    Attributes:
        strand: its drawn data.
        facts: its figures.
        sentence: its figures in words.
        circumstances: model, prior, rate, look-ahead and date.
        sound: its sound, if requested.
    """

    strand: Strand
    facts: Facts
    sentence: str
    circumstances: str
    sound: Sound | None

    @property
    def session(self) -> RecordedSession:
        return self.strand.session


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """The content of a report.

    Attributes:
        title: in words.
        entries: the sessions, in order.
        columns: columns of the table; empty for a single session.
    """

    title: str
    entries: tuple[Entry, ...]
    columns: tuple[Column, ...]

    @property
    def heading(self) -> str:
        """The title's text: a name, or the number of recordings."""
        headers = [entry.session.header for entry in self.entries]
        number = len(headers)
        if number == 1:
            return self.entries[0].session.title
        if len({header.source for header in headers}) == 1 and headers[0].channel is not None:
            return f"{headers[0].source}, {number} channels"
        return f"{number} recordings"


def make_page(
    sessions: Sequence[RecordedSession], sounds: Sequence[Sound | None] | None = None
) -> Page:
    """Make the page for sessions that each have an estimate or more.

    Raises:
        SerLiveError: there are none, or too many.
    """
    check_number(sessions)
    # Columns have the same width in all sessions, because they share an axis.
    longest_s = max(max(session.duration_s, TIMESTEP_S) for session in sessions)
    per_column = timesteps_per_column(longest_s)
    looks = shared_looks([session.header.labels for session in sessions])
    entries = tuple(
        _entry(session, per_column, session_looks, sound)
        for session, session_looks, sound in zip(
            sessions, looks, sounds or [None] * len(sessions), strict=True
        )
    )
    columns = []
    if len(sessions) > 1:
        by_name: dict[str, Look] = {}
        for one in looks:  # emotions come before the states
            by_name |= {look.name: look for code, look in one.items() if code >= 0}
        by_name |= {looks[0][code].name: looks[0][code] for code in STATE_CODES.values()}
        columns = columns_of(sessions, [entry.facts for entry in entries], by_name)
    title = "Speech emotion: " + ", ".join(printable(one.title) for one in sessions)
    return Page(title, entries, tuple(columns))


def check_number(sessions: Sequence[RecordedSession]) -> None:
    """Check the number of sessions for a page.

    Raises:
        SerLiveError: there are none, or too many.
    """
    if not sessions:
        raise SerLiveError("no estimates, so there is nothing to draw")
    if len(sessions) > MOST_SESSIONS:
        raise SerLiveError(f"{len(sessions)} recordings; a report shows 1..{MOST_SESSIONS}")


def _entry(
    session: RecordedSession, per_column: int, looks: dict[int, Look], sound: Sound | None
) -> Entry:
    facts = facts_of(session)
    waveform = None if sound is None else sound.waveform
    strand = Strand(session, overview(session, per_column), looks, waveform)
    return Entry(strand, facts, sentence(session, facts), circumstances(session), sound)


def circumstances(session: RecordedSession) -> str:
    """Return how and when a session was recorded."""
    header = session.header
    return " · ".join(
        [
            f"model {header.model}, {header.prior} prior{header.unusual}",
            f"{header.sample_rate / 1000:g} kHz",
            f"look-ahead {header.look_ahead_ms:.0f} ms",
            f"{header.started:%Y-%m-%d %H:%M %Z}",
        ]
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A page on paper, in one drawing.

    Attributes:
        drawing: the drawing, including margins.
        picture: the timelines in it.
    """

    drawing: Drawing
    picture: Picture


def draw_sheet(page: Page) -> Sheet:
    """Draw a page for a file without scrolling."""
    is_alone = len(page.entries) == 1
    table = None if is_alone else draw_table(page.columns, (0.0, 0.0))
    width = max(_WIDTH, table.width if table is not None else 0.0)
    shapes, y = _heading(page, width)
    sentences = None if is_alone else [entry.sentence for entry in page.entries]
    strands = [entry.strand for entry in page.entries]
    picture = draw_picture(strands, (_MARGIN, y), width, sentences)
    y += picture.drawing.height
    shapes += picture.drawing.shapes
    if is_alone:
        lower = _numbers(page.entries[0], y + _BETWEEN, width)
    else:
        legend = draw_legend(shown_looks(strands), (_MARGIN, y + 8), width)
        shapes += legend.shapes
        y += legend.height
        lower = [draw_table(page.columns, (_MARGIN, y + _BETWEEN))]
    height = y + _BETWEEN + max(one.height for one in lower) + _MARGIN
    shapes += [shape for one in lower for shape in one.shapes]
    return Sheet(Drawing(width + 2 * _MARGIN, height, tuple(shapes)), picture)


def _heading(page: Page, width: float) -> tuple[list[Shape], float]:
    """Return the title, with a single session's sentence, and the y where they end."""
    first = page.entries[0]
    lines: list[str] = []
    if len(page.entries) == 1:
        lines = wrapped(first.sentence, _SENTENCE_SIZE, width, _MOST_LINES)
    y = _MARGIN + 14
    title = fitted(page.heading, _TITLE_SIZE, width, keeps_end=True)
    shapes: list[Shape] = [Text(_MARGIN, y, title, _TITLE_SIZE, INK, is_bold=True)]
    y += 4
    for line in lines:
        y += _LINE
        shapes.append(Text(_MARGIN, y, line, _SENTENCE_SIZE, INK))
    y += _LINE
    how = list(dict.fromkeys(entry.circumstances for entry in page.entries))
    rest = f" · and {len(how) - 1} more" if len(how) > 1 else ""
    told = fitted(how[0] + rest, _SIZE, width)
    return [*shapes, Text(_MARGIN, y, told, _SIZE, FAINT)], y + _LINE


def _numbers(entry: Entry, y: float, width: float) -> list[Drawing]:
    """Return shares, and beside them latencies if a clock applied."""
    half = (width - _BETWEEN) / 2
    drawings = [draw_shares(entry.facts, entry.strand.looks, (_MARGIN, y), half)]
    if entry.facts.latency is not None:
        at = (_MARGIN + half + _BETWEEN, y)
        drawings.append(draw_latencies(entry.session.latency_ms, entry.facts.latency, at, half))
    return drawings
