"""A page as one HTML file that needs no network, and is readable without scripts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path

from streamer.appearance import Look
from streamer.commands.report.cells import bounds_of, cells_of
from streamer.commands.report.drawing.ink import CHIP, chip
from streamer.commands.report.drawing.latencies import draw_latencies
from streamer.commands.report.drawing.legend import shown_looks
from streamer.commands.report.drawing.picture import Drawing, draw_picture
from streamer.commands.report.drawing.shares import draw_shares
from streamer.commands.report.drawing.svg import to_svg
from streamer.commands.report.drawing.table import NOTE, Column
from streamer.commands.report.page import Entry, Page
from streamer.commands.report.sound import Audio
from streamer.errors import printable

#: In their order in the page.
_SCRIPTS = ("cells.js", "view.js", "strips.js", "hover.js", "sound.js", "gestures.js")
_PICTURE_WIDTH = 920.0
#: Width of drawings that are side by side if there is room, and one below the other on a phone.
_DRAWING_WIDTH = 340.0
_BUTTONS = (("out", "&minus;", "zoom out"), ("in", "+", "zoom in"), ("all", "all", "show all"))


def to_html(page: Page) -> str:
    """Return the page. Its script zooms the timelines, plays the sound and shows details."""
    style, script = _text("page.css"), "".join(map(_text, _SCRIPTS))
    data = json.dumps(_data(page), separators=(",", ":")).replace("<", r"\u003c")  # ends no element
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(page, style, script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(page.title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            *_body(page),
            '<div id="told" aria-hidden="true" hidden></div>',
            f'<script type="application/json" id="data">{data}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
        )
    )


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _policy(page: Page, style: str, script: str) -> str:
    """Return what the browser may load and run, so that no injected name can run."""
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    audios = [audio for entry in page.entries if (audio := _audio_of(entry)) is not None]
    sources = [
        *(["data:"] if any(audio.data is not None for audio in audios) else []),
        *(["'self'", "file:"] if any(audio.data is None for audio in audios) else []),
    ]
    return f"{policy}; media-src {' '.join(sources)}" if sources else policy


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def _audio_of(entry: Entry) -> Audio | None:
    return None if entry.sound is None else entry.sound.audio


def _data(page: Page) -> dict[str, object]:
    bounds = bounds_of([entry.session for entry in page.entries])
    return {
        "sessions": [
            cells_of(entry.session, entry.strand.looks, entry.strand.waveform, bounds)
            for entry in page.entries
        ]
    }


def _body(page: Page) -> list[str]:
    is_alone = len(page.entries) == 1
    first = page.entries[0]
    strands = [entry.strand for entry in page.entries]
    overview = draw_picture(strands, (0.0, 0.0), _PICTURE_WIDTH).drawing
    return [
        "<main>",
        f"<h1>{_escaped(page.heading)}</h1>",
        *([f'<p class="sentence">{_escaped(first.sentence)}</p>'] if is_alone else []),
        *(f'<p class="faint">{_escaped(one)}</p>' for one in _circumstances(page)),
        _legend(shown_looks(strands)),
        '<div id="bar" hidden>',
        *(
            f'<button type="button" id="zoom-{name}" title="{title}" aria-label="{title}">'
            f"{sign}</button>"
            for name, sign, title in _BUTTONS
        ),
        '<span id="range"></span><canvas id="axis" aria-hidden="true"></canvas>',
        "</div>",
        '<div id="sessions">',
        *(line for entry in page.entries for line in _session(entry, is_alone)),
        "</div>",
        f'<div id="overview" class="wide" tabindex="0">{to_svg(overview, page.title)}</div>',
        f'<p class="faint" id="help" hidden>{_help(page)}</p>',
        *(_numbers(first) if is_alone else _table(page.columns)),
        "</main>",
    ]


def _help(page: Page) -> str:
    """Return an explanation of the picture's controls."""
    moves = "Wheel, pinch, + and &minus; zoom; drag, ← and → move; a double click shows all"
    is_heard = any(_audio_of(entry) is not None for entry in page.entries)
    return f"{moves}; a click moves the sound, and space plays it." if is_heard else f"{moves}."


def _escaped(content: str) -> str:
    return escape(printable(content))


def _circumstances(page: Page) -> list[str]:
    return list(dict.fromkeys(entry.circumstances for entry in page.entries))


def _session(entry: Entry, is_alone: bool) -> list[str]:
    """Return a session's words and sound; the script draws its timelines there."""
    words = [
        f"<h2>{_escaped(entry.session.title)}</h2>",
        f'<p class="sentence">{_escaped(entry.sentence)}</p>',
    ]
    return [
        "<section>",
        *([] if is_alone else words),
        *_player(_audio_of(entry), entry.session.title),
        '<div class="strip" hidden></div>',
        "</section>",
    ]


def _player(audio: Audio | None, title: str) -> list[str]:
    if audio is None:
        return []
    label = f'aria-label="sound of {_escaped(title)}"'
    if audio.data is None:
        address = audio.link
        note = f'<p class="faint">The sound is not in this page but in {_escaped(audio.link)}.</p>'
    else:
        address = f"data:{audio.media_type};base64,{b64encode(audio.data).decode()}"
        note = ""
    return [f'<audio controls preload="metadata" {label} src="{escape(address)}"></audio>{note}']


def _sign(look: Look) -> str:
    """Return the sign of a label as a small picture in a line of text."""
    return to_svg(Drawing(CHIP, CHIP, tuple(chip(look, 0.0, 0.0))), look.name)


def _legend(looks: Sequence[Look]) -> str:
    signs = "".join(f"<span>{_sign(look)} {_escaped(look.name)}</span>" for look in looks)
    return f'<p class="legend">{signs}</p>'


def _numbers(entry: Entry) -> list[str]:
    """Return shares and latencies of a single session."""
    facts, at = entry.facts, (0.0, 0.0)
    drawings = [(draw_shares(facts, entry.strand.looks, at, _DRAWING_WIDTH), "shares")]
    if facts.latency is not None:
        latencies = draw_latencies(entry.session.latency_ms, facts.latency, at, _DRAWING_WIDTH)
        drawings.append((latencies, "latencies"))
    return [
        '<div class="numbers">',
        *(f"<div>{to_svg(one, title)}</div>" for one, title in drawings),
        "</div>",
    ]


def _table(columns: Sequence[Column]) -> list[str]:
    heads = "".join(_head(column) for column in columns)
    rows = zip(*(column.cells for column in columns), strict=True)
    return [
        '<div class="wide" tabindex="0"><table>',
        f"<thead><tr>{heads}</tr></thead>",
        "<tbody>",
        *(f"<tr>{_row(cells, columns)}</tr>" for cells in rows),
        "</tbody></table></div>",
        f'<p class="faint">{NOTE}</p>',
    ]


def _head(column: Column) -> str:
    sign = "" if column.look is None else f"{_sign(column.look)} "
    return f'<th scope="col"{_kind(column)}>{sign}{_escaped(column.name)}</th>'


def _row(cells: Sequence[str], columns: Sequence[Column]) -> str:
    return "".join(
        f"<td{_kind(column)}>{_escaped(cell)}</td>"
        if index
        else f'<th scope="row"{_kind(column)}>{_escaped(cell)}</th>'
        for index, (cell, column) in enumerate(zip(cells, columns, strict=True))
    )


def _kind(column: Column) -> str:
    return ' class="text"' if column.is_text else ""
