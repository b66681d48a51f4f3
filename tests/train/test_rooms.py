"""The rooms of the training import each other in one direction, as their page says."""

from __future__ import annotations

import ast
import re

import pytest

from tests.helpers.places import ROOT

PAGE = (ROOT / "train" / "README.md").read_text(encoding="utf-8")
#: The rooms in the order of the page's table.
ROOMS = [
    name
    for name in re.findall(r"^\| `(\w+)/`", PAGE, re.MULTILINE)
    if (ROOT / "train" / name / "__init__.py").exists()
]


def rooms_imported_by(path):
    """Return the rooms that a module imports from; at its head or in its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{one.name}" for one in node.names]
        elif isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("train.")}
    return found & set(ROOMS)


def test_the_page_lists_every_room():
    folders = {path.parent.name for path in (ROOT / "train").glob("*/__init__.py")}
    assert len(ROOMS) == len(set(ROOMS))
    assert set(ROOMS) == folders


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_above_it(room):
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    below = {
        path.name: sorted(rooms_imported_by(path) - allowed)
        for path in (ROOT / "train" / room).glob("*.py")
    }
    assert not {name: rooms for name, rooms in below.items() if rooms}


def test_what_serves_all_rooms_imports_none():
    beside = [path for path in (ROOT / "train").glob("*.py") if path.name != "__main__.py"]
    assert len(beside) > 4
    assert not {path.name for path in beside if rooms_imported_by(path)}
