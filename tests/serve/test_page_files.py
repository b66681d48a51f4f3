"""The page's files: each is served, and the modules of its script import each other one way."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import re
from graphlib import TopologicalSorter
from urllib.request import urlopen

import pytest

from tests.helpers.places import ROOT

PAGE = ROOT / "streamer" / "serve" / "page"
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
FILES = sorted(path.name for path in PAGE.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_served_under_the_strict_policy(server, name):
    path = "" if name == "index.html" else name
    with urlopen(f"{server.http}/{path}", timeout=30) as answer:
        assert answer.read() == (PAGE / name).read_bytes()
        kind = TYPES[(PAGE / name).suffix]
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert "script-src 'self';" in answer.headers["Content-Security-Policy"]


def imported():
    """Return the modules that each module imports."""
    pattern = re.compile(r'^import .* from "\./(.*)";$', re.MULTILINE)
    return {path.name: pattern.findall(path.read_text("utf-8")) for path in PAGE.glob("*.js")}


def test_the_modules_import_each_other_in_no_circle():
    order = [*TopologicalSorter(imported()).static_order()]  # raises where there is a circle
    assert set(order) == imported().keys()


def test_the_page_asks_for_all_modules_at_once():
    """Otherwise the browser learns of a module only from the module that imports it."""
    used = {name for own in imported().values() for name in own}
    # The worklet of the microphone is a program of its own.
    assert imported().keys() - used == {"page.js", "capture.js"}
    page = (PAGE / "index.html").read_text("utf-8")
    assert re.findall(r'<link rel="modulepreload" href="/(.*)">', page) == sorted(used)
