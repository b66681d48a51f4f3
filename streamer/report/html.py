"""A page as one HTML file that asks nothing of the network; without scripts it still stands."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from streamer.report.axis import clock
from streamer.report.ink import on
from streamer.report.overview import Float64
from streamer.report.page import Page
from streamer.report.panel import Panel
from streamer.report.svg import to_svg

#: Edges of columns as long as that are told to the second.
_LONG_COLUMN_S = 10.0


def to_html(page: Page) -> str:
    """The page, which tells under the pointer what each column was."""
    style, script = _text("page.css"), _text("hover.js")
    # Names of files and labels are escaped; should one get through, the browser runs nothing of it.
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"
    data = json.dumps([_data(panel) for panel in page.panels], separators=(",", ":"))
    data = data.replace("<", r"\u003c")  # no name ends the element
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(page.title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            to_svg(page),
            '<div id="told" role="status" hidden></div>',
            f'<script type="application/json" id="panels">{data}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
        )
    )


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def _data(panel: Panel) -> dict[str, Any]:
    """What ``hover.js`` tells of a panel, by column; shares and probabilities in percent."""
    frame, seen = panel.frame, panel.seen
    end_s = float(seen.edges_s[-1])
    decimals = 2 if seen.column_s < _LONG_COLUMN_S else 0
    looks = [panel.looks[code] for code in seen.codes]
    return {
        "top": round(frame.top, 2),
        "bottom": round(frame.bottom, 2),
        "edges": np.round(frame.x(seen.edges_s), 2).tolist(),
        "times": [clock(edge_s, end_s, decimals) for edge_s in seen.edges_s.tolist()],
        "looks": [[look.name, look.letter, look.colour, on(look.colour)] for look in looks],
        "shares": _percent(seen.shares),
        "probabilities": _percent(seen.probabilities),
        "speech": _percent(seen.speech),
    }


def _percent(shares: Float64) -> Any:
    """Nested lists of whole numbers, None where there is none."""
    whole = np.full(shares.shape, None, object)
    known = ~np.isnan(shares)
    whole[known] = np.rint(100.0 * shares[known]).astype(int)
    return whole.tolist()
