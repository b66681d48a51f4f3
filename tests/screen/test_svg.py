"""The screen as SVG: still and moving, and independent of fonts."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from streamer.screen.drawing.palette import BACKGROUND
from streamer.screen.drawing.segments import text
from streamer.screen.drawing.svg import moving_svg, still_svg
from streamer.screen.drawing.vector import CELL_HEIGHT, CELL_WIDTH, GROUND, LETTER, SHAPE, elements
from streamer.screen.drawing.view import draw
from streamer.screen.keys import View
from tests.helpers.screens import LABELS, estimated, monitor_of

SIZE = (100, 30)
FRAME_S = 0.1
TEXT = "{http://www.w3.org/2000/svg}text"


def snapshots(labels, every=3):
    """Return the screen's snapshot after every third estimate."""
    kept, events = [], []
    for number, label in enumerate(labels):
        events.append(estimated(0.04 * (number + 1), label))
        if number % every == every - 1:
            kept.append(monitor_of(events).snapshot)
    return kept


def boxes(markup):
    """Return the rectangles of a path: left, top, width, height."""
    found = re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", markup)
    return [tuple(map(int, box)) for box in found]


def drawn(line, layer, row=0):
    return [one.markup for one in elements(line, row) if one.layer == layer]


def words_of(svg):
    """Return the texts of an SVG with their places."""
    return {
        (word.get("x"), word.get("y"), word.text) for word in ElementTree.fromstring(svg).iter(TEXT)
    }


def seen_at(svg, frame):
    """Return the texts with their places in one frame of a moving SVG, by its own timing."""
    root = ElementTree.fromstring(svg)
    style = next(root.iter("{http://www.w3.org/2000/svg}style")).text
    length_s = float(re.search(r"animation:([\d.]+)s", style)[1])
    shown_s = {
        name: float(share) / 100 * length_s
        for name, share in re.findall(r"@keyframes (m\d+)\{0%\{[^}]*\}([\d.]+)%", style)
    }
    seen = set()
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        names = group.get("class")
        if names is None:
            continue
        delay = re.search(r"animation-delay:(-[\d.]+)s", group.get("style", ""))
        at_s = ((frame + 0.5) * FRAME_S - float(delay[1] if delay else 0)) % length_s
        if at_s < shown_s[names.split()[1]]:
            seen |= {(word.get("x"), word.get("y"), word.text) for word in group.iter(TEXT)}
    return seen


@pytest.mark.parametrize(
    ("letter", "box"),
    [
        ("█", (0, 0, 12, 24)),
        ("▀", (0, 0, 12, 12)),
        ("▄", (0, 12, 12, 12)),
        ("▁", (0, 21, 12, 3)),
        ("▇", (0, 3, 12, 21)),
        ("▌", (0, 0, 6, 24)),
        ("▎", (0, 0, 3, 24)),
        ("▐", (6, 0, 6, 24)),
        ("▒", (0, 0, 12, 24)),
    ],
)
def test_a_block_covers_its_part_of_the_cell(letter, box):
    assert [boxes(one) for one in drawn([text(letter)], SHAPE)] == [[box]]


def test_borders_meet_in_the_middle_of_the_cell():
    (corner,) = drawn([text("╭─")], SHAPE)
    (below,) = drawn([text("│")], SHAPE, row=1)
    assert set(boxes(corner)) == {(6, 12, 2, 12), (6, 12, 6, 2), (12, 12, 12, 2)}
    assert boxes(below) == [(6, 24, 2, 24)]


def test_words_that_stand_apart_have_places_of_their_own():
    line = [text("  two words   apart"), text("録音"), text("x")]
    found = [re.search(r'x="(\d+)".*>(.*)</text>', one).groups() for one in drawn(line, LETTER)]
    places = [(int(left) // CELL_WIDTH, word.replace("\u00a0", " ")) for left, word in found]
    assert places == [(2, "two words"), (14, "apart録音x")]


def test_a_word_takes_its_cells_with_any_font():
    (word,) = drawn([text("録音 ok")], LETTER)
    assert f'textLength="{cell_len("録音 ok") * CELL_WIDTH}"' in word


def test_only_a_different_background_is_drawn():
    assert drawn([text("a", ground=BACKGROUND)], GROUND) == []
    (ground,) = drawn([text(" "), text("ab", ground="#123456")], GROUND, row=2)
    assert boxes(ground) == [(12, 2 * CELL_HEIGHT, 24, CELL_HEIGHT)]


def test_markup_in_a_name_stays_text():
    (word,) = drawn([text("<a&b>.wav")], LETTER)
    assert ElementTree.fromstring(word).text == "<a&b>.wav"


def test_the_still_picture_has_every_word_of_every_row():
    (snapshot,) = snapshots(["angry"] * 3)
    root = ElementTree.fromstring(still_svg(snapshot, View(), *SIZE))
    rows = defaultdict(list)
    for word in root.findall("{*}g/{*}g/{*}text"):
        rows[(int(word.get("y")) - 1) // CELL_HEIGHT].append((int(word.get("x")), word.text))
    for number, line in enumerate(draw(snapshot, View(), *SIZE)):
        shown = re.sub(r"[\s\u2500-\u2593]", "", "".join(piece.text for piece in line))
        written = "".join(word for _, word in sorted(rows[number]))
        assert written.replace("\u00a0", "") == shown


def test_each_frame_of_a_moving_picture_is_the_screen_of_its_moment():
    labels = [label for label in (*LABELS, "silence", LABELS[0]) for _ in range(9)]
    kept = snapshots(labels)
    moving = moving_svg(kept, *SIZE, frame_s=FRAME_S, hold_s=0.5)
    frames = range(len(kept) + 5)
    stays = words_of(moving) - set().union(*(seen_at(moving, frame) for frame in frames))
    for frame in frames:
        snapshot = kept[min(frame, len(kept) - 1)]
        assert seen_at(moving, frame) | stays == words_of(still_svg(snapshot, View(), *SIZE))


def test_parts_that_do_not_move_are_in_the_file_once():
    kept = snapshots(["angry"] * 150)
    moving = moving_svg(kept, *SIZE, frame_s=FRAME_S, hold_s=0.5)
    assert moving.count("timeline") == 1
    one = len(still_svg(kept[-1], View(), *SIZE))
    assert len(moving) < len(kept) * one / 5


def test_with_reduced_motion_the_last_frame_is_shown():
    kept = snapshots(["angry"] * 15)
    moving = moving_svg(kept, *SIZE, frame_s=FRAME_S, hold_s=0.5)
    assert "prefers-reduced-motion" in moving
    root = ElementTree.fromstring(moving)
    assert ".last{visibility:visible}" in moving
    hidden = {
        word
        for group in root.iter("{http://www.w3.org/2000/svg}g")
        if group.get("class") and "last" not in group.get("class").split()
        for word in group.iter(TEXT)
    }
    assert hidden
    seen = {
        (word.get("x"), word.get("y"), word.text) for word in root.iter(TEXT) if word not in hidden
    }
    assert seen == words_of(still_svg(kept[-1], View(), *SIZE))


def test_a_moving_picture_of_one_moment_works_too():
    (snapshot,) = snapshots(["sad"] * 3)
    moving = moving_svg([snapshot], *SIZE, frame_s=FRAME_S, hold_s=0.5)
    assert words_of(moving) == words_of(still_svg(snapshot, View(), *SIZE))
