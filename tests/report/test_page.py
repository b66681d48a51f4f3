"""The report as a page in a browser: its zoom, its sound, and what it must never do."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from streamer.appearance import GAP_CODE, paper_looks
from streamer.commands.report import sound as sound_module
from streamer.commands.report.cells import bounds_of, cells_of
from streamer.commands.report.drawing.waveform import Outliner
from streamer.commands.report.html import to_html
from streamer.commands.report.page import make_page
from streamer.commands.report.run import write_report
from streamer.commands.report.sound import Sound
from streamer.formats.reader import read_sessions
from streamer.session.events import Gap
from streamer.signal import TIMESTEP_S
from tests.helpers.chromium import CHROMIUM, Chromium
from tests.helpers.command import replay
from tests.helpers.places import ROOT
from tests.helpers.recorded import HOSTILE, LABELS, SILENCE_INDEX, recorded, several, write_session

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

DESKTOP, PHONE = (1280, 900), (390, 844)


def noise(seconds: float) -> Sound:
    """Make a sound in which no two stretches are equal."""
    outliner = Outliner()
    random = np.random.default_rng(0)
    for _ in range(round(seconds / 10)):
        outliner.accept(random.normal(0, 0.2, 160_000).astype(np.float32))
    return Sound(outliner.finish())


@pytest.mark.parametrize("number", [1, 2, 16])
def test_a_page_is_bounded_however_long_its_sessions_are(number):
    sessions = [recorded(180_000, labels=LABELS)] * number
    assert len(to_html(make_page(sessions))) < 1_700_000


def test_two_hours_with_the_outline_of_their_sound_are_less_than_2_mb():
    page = make_page([recorded(180_000)], [noise(7200.0)])
    assert len(to_html(page)) < 2_000_000


def test_a_day_is_shown_in_coarser_cells_and_two_hours_by_timestep():
    day = replace(recorded(10), times=np.linspace(8640.0, 86_400.0, 10))
    assert bounds_of([recorded(180_000)]).per_cell == 1
    assert bounds_of([day]).per_cell == 12


def test_marks_without_number_are_thinned_out():
    session = recorded(125, marks=np.linspace(0.0, 5.0, 100_000))
    cells = cells_of(session, paper_looks(LABELS), None, bounds_of([session]))
    assert 900 < len(cells["marks"]) <= 1_001


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(chromium):
    sized(chromium, DESKTOP)
    yield chromium
    chromium.call("Emulation.setScriptExecutionDisabled", value=False)


def sized(browser, size):
    width, height = size
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=size is PHONE,
    )
    browser.call("Emulation.setTouchEmulationEnabled", enabled=size is PHONE)


def opened(browser, tmp_path, *sessions, sounds=None):
    page = tmp_path / "report.html"
    page.write_text(to_html(make_page(sessions, sounds)), encoding="utf-8")
    browser.open(page)
    until(browser, "document.querySelector('canvas') && !document.getElementById('bar').hidden")
    return page


def until(browser, expression):
    """Wait until an expression holds in the page."""
    deadline = time.monotonic() + 20.0
    while not browser.value(f"Boolean({expression})"):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


def place(browser, index, time_s):
    """Return the place of a session's moment in the window."""
    box = "strips[%d].canvas.getBoundingClientRect()" % index  # noqa: UP031
    browser.value(f"strips[{index}].canvas.scrollIntoView({{ block: 'center' }})")
    x = browser.value(f"{box}.left + xOf({time_s})")
    return x, browser.value(f"{box}.top + 5")


def moused(browser, kind, x, y, clicks=1, **more):
    browser.call(
        "Input.dispatchMouseEvent",
        **{"type": kind, "x": x, "y": y, "button": "left", "clickCount": clicks, **more},
    )


def clicked(browser, x, y, clicks=1):
    moused(browser, "mousePressed", x, y, clicks)
    moused(browser, "mouseReleased", x, y, clicks)


def wheeled(browser, x, y, down, across=0):
    moused(browser, "mouseWheel", x, y, button="none", deltaX=across, deltaY=down)


def pressed(browser, key):
    browser.call(
        "Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else ""
    )
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def seen(browser):
    """Return the first and last visible moment, in seconds."""
    return browser.value("[view.start, view.start + view.length]")


@needs_chromium
def test_a_page_asks_nothing_of_the_network_and_has_no_errors(browser, tmp_path):
    page = opened(browser, tmp_path, *several(4))
    assert "default-src 'none'" in page.read_text(encoding="utf-8")
    assert browser.value("document.querySelectorAll('#overview svg text').length") > 60
    assert browser.value("document.querySelectorAll('canvas').length") == 5
    assert browser.requested() == [page.as_uri()]
    assert browser.complaints() == []


@needs_chromium
def test_without_scripts_picture_words_and_table_are_there(browser, tmp_path):
    page = opened(browser, tmp_path, *several(2))
    assert browser.value("document.getElementById('overview').hidden")
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    static = browser.call("DOM.getDocument", depth=-1)["root"]["nodeId"]

    def box(selector):
        node = browser.call("DOM.querySelector", nodeId=static, selector=selector)["nodeId"]
        return browser.call("DOM.getBoxModel", nodeId=node)["model"]

    assert box("#overview svg")["height"] > 300
    assert box("table")["height"] > 50
    assert box(".sentence")["height"] > 10
    node = browser.call("DOM.querySelector", nodeId=static, selector="canvas + #range")["nodeId"]
    assert node == 0


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    path = tmp_path_factory.mktemp("sessions") / "demo.jsonl"
    path.write_bytes(replay(ROOT / "assets" / "demo.flac").stdout)
    return path


@needs_chromium
def test_pointing_at_a_moment_shows_its_estimate(browser, demo, tmp_path):
    (session,) = read_sessions(demo, print)
    opened(browser, tmp_path, session)
    assert browser.value("told.hidden")
    for index in (30, 100, 230):
        browser.point(*place(browser, 0, session.times[index] - TIMESTEP_S / 2))
        said = browser.value("told.innerText")
        begins_s, ends_s = session.times[index] - TIMESTEP_S, session.times[index]
        assert said.startswith(f"{begins_s:g}\N{EN DASH}{ends_s:g} s")
        assert f"{session.labels[index]}\n100%" in said
        if session.codes[index] < SILENCE_INDEX:
            for label, probability in zip(LABELS, session.probabilities[index], strict=True):
                assert f"{label}\n{probability:.0%}" in said
    browser.point(5, 5)
    assert browser.value("told.hidden")
    assert browser.complaints() == []


@needs_chromium
def test_the_summary_of_a_stretch_equals_the_recorded_session(browser, tmp_path):
    session = recorded(180_000, gaps=(Gap(100.0, 16_000, "overflow"),))
    opened(browser, tmp_path, session)
    for first, after in ((0, 180_000), (5_000, 5_400), (2_490, 2_530), (179_999, 180_000)):
        codes = session.codes[first:after]
        lost = (np.arange(first, after) >= 2_500) & (np.arange(first, after) < 2_525)
        counts = browser.value(
            f"strips[0].session.counts.map((sums) => sums[{after}] - sums[{first}])"
        )
        assert counts[:4] == [int((codes[~lost] == index).sum()) for index in range(4)]
        assert counts[-1] == int(lost.sum())
        assert sum(counts) == after - first
        heard = (codes <= SILENCE_INDEX + 1) & (codes != SILENCE_INDEX) & ~lost
        means = browser.value(
            f"strips[0].session.probabilities.map((values) => mean(values, {first}, {after}))"
        )
        if heard.any():
            expected = 100 * session.probabilities[first:after][heard].mean(axis=0)
            np.testing.assert_allclose(means, expected, atol=0.5)


@needs_chromium
def test_the_wheel_zooms_at_the_pointer_and_a_double_click_shows_all(browser, tmp_path):
    opened(browser, tmp_path, recorded(7500), recorded(125))
    assert seen(browser) == [0.0, 300.0]
    x, y = place(browser, 0, 200.0)
    wheeled(browser, x, y, -480)
    until(browser, "view.length < 299")
    assert browser.value(f"timeAt({x} - strips[0].canvas.getBoundingClientRect().left)") == (
        pytest.approx(200.0, abs=0.5)
    )
    start_s, end_s = seen(browser)
    assert end_s - start_s == pytest.approx(75.0)
    wheeled(browser, x, y, 0, across=100)
    until(browser, f"view.start > {start_s} + 1")
    clicked(browser, x, y)
    clicked(browser, x, y, 2)
    until(browser, "view.length === 300")
    assert seen(browser) == [0.0, 300.0]


@needs_chromium
def test_without_zoom_the_wheel_scrolls_the_page(browser, tmp_path):
    opened(browser, tmp_path, *[recorded(7500, source=f"{number}.wav") for number in range(8)])
    browser.value("scrollTo(0, 0)")
    box = "strips[0].canvas.getBoundingClientRect()"
    wheeled(browser, browser.value(f"{box}.left + 400"), browser.value(f"{box}.top + 5"), 300)
    until(browser, "scrollY > 100")
    assert seen(browser) == [0.0, 300.0]


@needs_chromium
def test_a_drag_moves_all_sessions_and_stays_within_them(browser, tmp_path):
    opened(browser, tmp_path, recorded(7500), recorded(5000))
    browser.value("look(100, 50)")
    x, y = place(browser, 1, 125.0)
    moused(browser, "mousePressed", x, y)
    moused(browser, "mouseMoved", x + 109.0, y)
    share = browser.value("109 / view.width")
    until(browser, "view.start < 100")
    assert seen(browser)[0] == pytest.approx(100.0 - 50.0 * share, abs=0.3)
    moused(browser, "mouseMoved", x + 100_000.0, y)
    moused(browser, "mouseReleased", x + 100_000.0, y)
    assert seen(browser) == [0.0, 50.0]


@needs_chromium
def test_keys_and_buttons_do_the_same(browser, tmp_path):
    opened(browser, tmp_path, recorded(7500))
    pressed(browser, "+")
    assert seen(browser) == [75.0, 225.0]
    pressed(browser, "ArrowRight")
    assert seen(browser) == pytest.approx([105.0, 255.0])
    pressed(browser, "ArrowLeft")
    pressed(browser, "-")
    assert seen(browser) == [0.0, 300.0]
    for _ in range(30):
        pressed(browser, "+")
    assert browser.value("view.length") == pytest.approx(0.4)
    pressed(browser, "0")
    assert seen(browser) == [0.0, 300.0]
    browser.value("document.getElementById('zoom-in').click()")
    assert seen(browser) == [75.0, 225.0]
    until(browser, "document.getElementById('range').textContent === '1:15\N{EN DASH}3:45'")
    browser.value("document.getElementById('zoom-all').click()")
    assert seen(browser) == [0.0, 300.0]


def touched(browser, kind, *points):
    browser.call(
        "Input.dispatchTouchEvent",
        type=kind,
        touchPoints=[{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)],
    )


@needs_chromium
def test_two_fingers_stay_on_their_moments(browser, tmp_path):
    sized(browser, PHONE)
    opened(browser, tmp_path, recorded(7500))
    (one, y), (other, _) = place(browser, 0, 100.0), place(browser, 0, 200.0)
    touched(browser, "touchStart", (one, y))
    touched(browser, "touchStart", (one, y), (other, y))
    touched(browser, "touchMove", (one - 40, y), (other + 40, y))
    until(browser, "view.length < 299")
    left = browser.value("strips[0].canvas.getBoundingClientRect().left")
    assert browser.value(f"timeAt({one - 40 - left})") == pytest.approx(100.0, abs=1.0)
    assert browser.value(f"timeAt({other + 40 - left})") == pytest.approx(200.0, abs=1.0)
    touched(browser, "touchEnd")
    assert not browser.value("isHeld()")


@needs_chromium
def test_a_tap_shows_a_moments_estimate_until_the_next_touch(browser, tmp_path):
    sized(browser, PHONE)
    opened(browser, tmp_path, recorded(125))
    x, y = place(browser, 0, 2.0)
    touched(browser, "touchStart", (x, y))
    touched(browser, "touchEnd")
    until(browser, "!told.hidden")
    assert browser.value("told.innerText").startswith("2")
    touched(browser, "touchStart", (10, 10))
    touched(browser, "touchEnd")
    until(browser, "told.hidden")
    assert browser.complaints() == []


@needs_chromium
@pytest.mark.parametrize("times", [[0.04], [0.04, 1e8]])
def test_sessions_of_a_moment_and_of_three_years_are_drawn(browser, tmp_path, times):
    opened(browser, tmp_path, recorded(len(times), times=np.array(times)))
    for key in "++-0":
        pressed(browser, key)
    browser.point(*place(browser, 0, 0.02))
    assert not browser.value("told.hidden")
    assert browser.complaints() == []


@needs_chromium
def test_on_a_phone_nothing_is_wider_than_the_screen_nor_too_small_to_read(browser, tmp_path):
    sized(browser, PHONE)
    opened(browser, tmp_path, *several(2))
    assert browser.value("document.documentElement.scrollWidth") == PHONE[0]
    assert browser.value("strips[0].canvas.clientWidth") > 350
    assert browser.value("view.width") > 300
    smallest = (
        "Math.min(...[...document.querySelectorAll('main :not(svg, svg *)')].map("
        "(one) => parseFloat(getComputedStyle(one).fontSize)))"
    )
    assert browser.value(smallest) >= 12
    # The picture for a browser without scripts is scrolled rather than shrunk.
    browser.value("document.getElementById('overview').hidden = false")
    assert browser.value("document.querySelector('#overview svg').clientWidth") == 920
    assert browser.value("document.documentElement.scrollWidth") == PHONE[0]


@needs_chromium
def test_in_the_dark_the_page_is_dark(browser, tmp_path):
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.call("Emulation.setEmulatedMedia", features=[scheme])
    opened(browser, tmp_path, recorded(7500))
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
    assert browser.value("palette['--ink']") == "#e6eaee"
    browser.call("Emulation.setEmulatedMedia", features=[])


def pixel(browser, index, time_s, row):
    """Return the colour at a moment in the middle of a row of a session's canvas."""
    browser.value("draw()")
    return browser.value(
        f"(() => {{ const strip = strips[{index}]; const row = rowsOf(strip.session, false)"
        f".find(({{ kind }}) => kind === '{row}'); const pen = strip.canvas.getContext('2d');"
        f"return [...pen.getImageData(Math.round(xOf({time_s})), row.top + 4, 1, 1).data]; }})()"
    )


@needs_chromium
def test_a_moment_has_the_colour_of_its_label_at_any_zoom(browser, tmp_path):
    codes = np.repeat([0, 1, 2, 3], 1000)
    gap = Gap(150.0, 80_000, "overflow")
    opened(browser, tmp_path, recorded(4000, codes=codes, gaps=(gap,)), recorded(8000))
    looks = paper_looks(LABELS)
    for length_s in (320.0, 30.0, 0.5):
        for time_s, code in ((20.0, 0), (60.0, 1), (100.0, 2), (140.0, 3), (152.0, GAP_CODE)):
            browser.value(f"look({time_s - 0.4 * length_s}, {length_s})")
            colour = looks[code].colour
            rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
            assert pixel(browser, 0, time_s, "label") == [*rgb, 255], (length_s, time_s)
    browser.value("look(0, 320)")
    assert pixel(browser, 0, 200.0, "label")[3] == 0  # the session is over


@needs_chromium
def test_a_gap_is_seen_however_short_it_is_in_however_long_a_session(browser, tmp_path):
    opened(browser, tmp_path, recorded(180_000, gaps=(Gap(3600.0, 160, "overflow"),)))
    assert browser.value("strips[0].session.losses.at(-1)") == 1
    for length_s in (7200.0, 60.0, 1.0):
        browser.value(f"look({3600.0 - 0.4 * length_s}, {length_s})")
        pixel_s = browser.value("view.length / view.width")
        near = [pixel(browser, 0, 3600.01 + pixels * pixel_s, "strip") for pixels in (-1, 0, 1)]
        assert [0, 0, 0, 255] in near, length_s
        assert pixel(browser, 0, 3600.0 + 0.2 * length_s, "strip") != [0, 0, 0, 255]


@pytest.fixture
def with_sound(tmp_path):
    """Write the page of two sessions of 4 s with their sound."""
    sound = tmp_path / "a sound #1.wav"
    soundfile.write(sound, 0.5 * np.sin(np.arange(4 * 16_000) * 0.3), 16_000)
    files = [write_session(tmp_path / f"{name}.jsonl", sound.name, 100) for name in "ab"]

    def write():
        page = tmp_path / "report.html"
        write_report(files, page, True, print, [None])
        return page

    return write


@needs_chromium
@pytest.mark.parametrize("is_linked", [False, True])
def test_a_click_moves_the_sound_and_a_line_shows_where_it_is(
    browser, with_sound, monkeypatch, is_linked
):
    if is_linked:
        monkeypatch.setattr(sound_module, "MOST_EMBEDDED", 100)
    page = with_sound()
    browser.open(page)
    until(browser, "strips.length === 2 && strips.every(({ audio }) => audio.readyState >= 1)")
    assert browser.value("strips.map(({ audio }) => audio.duration)") == pytest.approx([4.0, 4.0])
    assert browser.value("strips.every(({ cursor }) => cursor.hidden)")
    clicked(browser, *place(browser, 1, 3.0))
    until(browser, "strips[1].audio.currentTime > 0 && !strips[1].audio.seeking")
    assert browser.value("strips[1].audio.currentTime") == pytest.approx(3.0, abs=0.02)
    assert browser.value("strips[0].audio.currentTime") == 0.0
    lines = browser.value("strips.map(({ cursor }) => parseFloat(cursor.style.left) - xOf(3))")
    assert lines == pytest.approx([0.0, 0.0], abs=5.0)
    # One sound at a time.
    browser.call("Runtime.evaluate", expression="strips[1].audio.play()", userGesture=True)
    until(browser, "!strips[1].audio.paused")
    browser.call("Runtime.evaluate", expression="strips[0].audio.play()", userGesture=True)
    until(browser, "strips[1].audio.paused && strips[0].audio.currentTime > 0.05")
    assert browser.complaints() == []
    asked = [url for url in browser.requested() if not url.startswith("data:")]
    assert all(url.startswith(page.parent.as_uri()) for url in asked)


@needs_chromium
def test_the_view_follows_the_sound(browser, with_sound):
    browser.open(with_sound())
    until(browser, "strips.length === 2 && strips[0].audio.readyState >= 1")
    browser.value("look(0, 0.5)")
    browser.value("strips[0].audio.currentTime = 2")
    browser.call("Runtime.evaluate", expression="strips[0].audio.play()", userGesture=True)
    until(browser, "view.start > 1.9")
    assert browser.complaints() == []


@needs_chromium
def test_no_name_runs_in_the_browser(browser, tmp_path):
    codes = np.full(125, 3)
    session = recorded(125, labels=("a", "b", "c", HOSTILE), source=HOSTILE, codes=codes)
    for sessions in ([session], [session, session]):
        opened(browser, tmp_path, *sessions)
        browser.point(*place(browser, 0, 2.5))
        assert "onerror" in browser.value("told.innerText")
        assert browser.value("document.querySelectorAll('img').length") == 0
        assert browser.value("document.title").startswith("Speech emotion: </script><img")
        assert browser.complaints() == []


@needs_chromium
def test_no_name_of_a_sound_runs_in_the_browser(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(sound_module, "MOST_EMBEDDED", 100)
    sound = tmp_path / "\"><img src=x onerror='document.title=1'>.wav"
    soundfile.write(sound, np.zeros(16_000), 16_000)
    session = write_session(tmp_path / "x.jsonl", sound.name, 25)
    page = tmp_path / "report.html"
    write_report([session], page, False, print, [None])
    browser.open(page)
    until(browser, "strips.length === 1 && strips[0].audio.readyState >= 1")
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.complaints() == []
