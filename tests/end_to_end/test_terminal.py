"""The screen on a real pseudo-terminal: what is shown, the keys, and the terminal put back."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

pytest.importorskip("termios", reason="this system has no pseudo-terminals")

from tests.end_to_end.pseudo_terminal import PATIENCE_S, RUN
from tests.helpers.command import complaint, ser_live
from tests.helpers.places import ROOT

SIZES = [(120, 40), (80, 24), (40, 12)]


@pytest.fixture(scope="module")
def long(tmp_path_factory, speech):
    """Two minutes: no test waits for its end."""
    path = tmp_path_factory.mktemp("audio") / "long.wav"
    soundfile.write(path, np.resize(speech, 120 * 16_000), 16_000)
    return path


def test_three_sizes_then_quit(terminal, long, tmp_path):
    output = tmp_path / "out.jsonl"
    seen = terminal("replay", long, "--output", output, size=SIZES[0])
    for columns, rows in SIZES:
        seen.resize(columns, rows)
        seen.wait_for("ser-live", "angry", "happy", "neutral", "sad", "%", "level", "gaps 0", "ms")
        if columns >= 80:
            seen.wait_for("timeline", "session so far", "labels so far", "latency p50/p95", "dBFS")
        if columns >= 120:
            seen.wait_for("what decided the label", "look-ahead 175 ms")
        lanes = sum(bool(re.match("[│ ]*A(  |$)", row.rstrip("│ "))) for row in seen.screen.display)
        assert lanes == (columns >= 80)
    seen.wait_for("quit", "●")
    seen.press("q")
    code, stderr = seen.finish()
    assert code == 0
    seen.assert_put_back()
    assert stderr.count("\n") == 1
    assert "overall" in stderr
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert written[0]["type"] == "session"
    assert written[-1]["type"] == "end"
    assert written[-1]["estimates"] == len(written) - 2 > 0


def test_the_terminal_is_believed_not_the_environment(terminal, long):
    seen = terminal("replay", long, size=(40, 12), COLUMNS="80", LINES="24")
    seen.wait_for("ser-live", "level", "gaps 0", "quit")
    seen.resize(80, 24)
    seen.wait_for("session so far", "overflows 0")
    seen.press("q")
    assert seen.finish()[0] == 0


def test_help_is_as_wide_as_the_terminal(terminal):
    seen = terminal("replay", "--help", size=(150, 60))
    assert seen.finish() == (0, "")
    assert 100 < max(len(line.rstrip()) for line in seen.screen.display) <= 150


def test_the_screen_fills_the_terminal_though_audio_comes_through_a_pipe(terminal, speech):
    """Standard input tells no size then, and descriptors 1 and 2 are not the terminal's."""
    seen = terminal(
        "replay", "-", "--rate", 16_000, "--sample-format", "f32le", pipe=True, size=SIZES[0]
    )  # fmt: skip
    seen.process.stdin.write(speech[:32_000].tobytes())
    seen.process.stdin.flush()
    seen.wait_for("gaps 0")
    assert max(len(line.rstrip()) for line in seen.screen.display) > 110
    seen.press("q")
    assert seen.finish()[0] == 0


def test_the_keys_do_what_they_say_then_ctrl_c(terminal, long, tmp_path):
    seen = terminal("replay", long, cwd=tmp_path)
    seen.wait_for("gaps 0", "● speech")
    seen.press("?")
    seen.wait_for("─ keys ─", "screen to an SVG", absent=["start or stop"])
    seen.press(" ")
    seen.wait_for("level", absent=["─ keys ─"])
    seen.press("m")
    seen.wait_for("▲")
    seen.press("rs")  # there is no microphone to record
    seen.wait_for("wrote ser-live-")
    (picture,) = tmp_path.glob("ser-live-*.svg")
    assert "long.wav" in picture.read_text()
    seen.press("p")
    seen.wait_for("PAUSED, audio goes on")
    clock = seen.screen.display[0][-12:]
    time.sleep(0.5)
    seen.read()
    assert seen.screen.display[0][-12:] == clock
    seen.press("\x1b[A")  # that arrow is no key of ours
    seen.press("p")
    seen.wait_for("gaps 0", absent=["PAUSED", clock])
    seen.press("\x03")
    code, stderr = seen.finish()
    assert code == 130
    assert "overall" in stderr
    assert "Traceback" not in stderr
    seen.assert_put_back()


def test_the_timeline_is_zoomed_and_scrolled_by_keys_that_come_in_pieces(terminal, long):
    seen = terminal("replay", long, "--speed", "2", size=(120, 40))
    seen.wait_for("timeline  30 s", "+- zoom", "←→ back")
    seen.press("+")
    seen.wait_for("timeline  15 s")
    deadline = time.monotonic() + PATIENCE_S
    while " 0:2" not in seen.screen.display[0]:  # more than the timeline has room for
        assert time.monotonic() < deadline, seen.text
        seen.read()
    seen.press("\x1b")
    seen.press("[D")
    seen.wait_for(" back, End: live ", "0 live")
    seen.press("\x1b[F")
    seen.wait_for("-10 s", absent=["End: live"])
    seen.press("\x1b")  # alone it holds nothing up
    seen.press("-")
    seen.wait_for("timeline  15 s")  # Alt and -
    seen.press("-")
    seen.wait_for("timeline  30 s")
    seen.press("q")
    assert seen.finish()[0] == 0


@pytest.mark.parametrize("errors_are_shown", [True, False])
@pytest.mark.parametrize(("ends_by", "code"), [("q", 0), ("\x03", 130), (None, 0)])
def test_a_last_screen_stays_and_says_each_thing_once(
    terminal, speech, tmp_path, ends_by, code, errors_are_shown
):
    path, output = tmp_path / "short.wav", tmp_path / "out.jsonl"
    soundfile.write(path, np.resize(speech, (2 if ends_by is None else 60) * 16_000), 16_000)
    seen = terminal("replay", path, "--output", output, shows_errors=errors_are_shown)
    if ends_by:
        seen.wait_for("gaps 0", "● speech")
        seen.press(ends_by)
    returned, stderr = seen.finish()
    assert returned == code
    seen.assert_put_back()
    assert seen.stays.count("overall") == 1
    assert seen.stays.count("latency p50/p95") == 1
    assert " s not silent, of 0:0" in seen.stays
    last_screen, _, stopped = seen.stays.partition("ser-live: stopped at ")
    assert last_screen.endswith(
        f"next: ser-live report {output} -o {output.with_suffix('.html')}\n"
    )
    # Who is interrupted is told so, on stderr; who quits knows it.
    assert bool(stopped) == (ends_by == "\x03" and errors_are_shown)
    assert ("stopped at " in stderr) == (ends_by == "\x03" and not errors_are_shown)
    # Where somebody keeps standard error, the line is there; a person reads it once.
    assert stderr.count("overall") == (not errors_are_shown)
    assert json.loads(output.read_text().splitlines()[-1])["type"] == "end"


def test_of_several_files_all_but_the_last_stay_as_a_line(terminal, speech, tmp_path):
    paths = [tmp_path / f"{name}.wav" for name in ("first", "second", "third")]
    for path in paths:
        soundfile.write(path, speech[:16_000], 16_000)
    seen = terminal("replay", *paths, shows_errors=True)
    assert seen.finish()[0] == 0
    lines = [line for line in seen.stays.splitlines() if "overall" in line]
    assert len(lines) == 3
    for line, path in zip(lines[:2], paths, strict=False):
        assert line.startswith(f"{path}: 1.00 s: ")
    assert lines[2].endswith("third.wav")
    assert "1.00 s" not in lines[2]
    assert seen.stays.count("next: ") == 1


def test_a_marked_moment_is_a_line_of_the_file(terminal, long, tmp_path):
    output = tmp_path / "out.jsonl"
    seen = terminal("replay", long, "--output", output)
    seen.wait_for("gaps 0", "● speech")
    seen.press("m")
    seen.wait_for("▲")
    seen.press("mq")  # the second is not lost at the end
    assert seen.finish()[0] == 0
    written = [json.loads(line) for line in output.read_text().splitlines()]
    marks = [place for place, line in enumerate(written) if line["type"] == "mark"]
    assert len(marks) == 2
    for place in marks:
        before = [line["time"] for line in written[:place] if line["type"] == "estimate"]
        assert written[place]["time"] in before
    assert written[-1]["type"] == "end"


def test_a_mark_is_of_the_moment_that_is_seen_also_while_it_stands_still(terminal, long, tmp_path):
    output = tmp_path / "out.jsonl"
    seen = terminal("replay", long, "--output", output)
    seen.wait_for("gaps 0", "● speech")
    seen.press("p")
    seen.wait_for("PAUSED")
    lines = output.read_text().count("\n")
    while output.read_text().count("\n") < lines + 25:  # a second goes by unseen
        time.sleep(0.05)
    seen.press("m")
    seen.wait_for("▲")
    seen.press("q")
    assert seen.finish()[0] == 0
    written = [json.loads(line) for line in output.read_text().splitlines()]
    (place,) = [place for place, line in enumerate(written) if line["type"] == "mark"]
    assert written[place - 1]["time"] - written[place]["time"] > 0.9


@pytest.mark.parametrize("wanted", [[], ["--format", "tui"]])
def test_the_screen_is_shown_beside_the_timeline_that_a_suffix_names(
    terminal, long, tmp_path, wanted
):
    output = tmp_path / "out.TextGrid"
    seen = terminal("replay", long, *wanted, "--output", output)
    seen.wait_for("gaps 0", "● speech")
    seen.press("m")
    seen.wait_for("▲")
    seen.press("q")
    code, stderr = seen.finish()
    assert code == 0
    assert "overall" in stderr
    written = output.read_text()
    assert written.startswith('File type = "ooTextFile"')
    assert written.count('mark = "mark"') == 1


def test_a_snapshot_that_cannot_be_written_is_said_then_sigterm(terminal, long, tmp_path):
    nowhere = tmp_path / "gone"
    nowhere.mkdir()
    seen = terminal("replay", long, cwd=nowhere)
    seen.wait_for("gaps 0")
    nowhere.rmdir()
    seen.press("s")
    seen.wait_for("cannot write ser-live-", "No such file")
    seen.process.send_signal(signal.SIGTERM)
    code, stderr = seen.finish()
    assert code == 143
    assert "Traceback" not in stderr
    seen.assert_put_back()


def test_an_error_is_said_once_the_screen_is_closed(terminal, speech, tmp_path):
    path = tmp_path / "truncated.wav"
    soundfile.write(path, speech[:32_000], 16_000)
    path.write_bytes(path.read_bytes()[:40_001])
    seen = terminal("replay", path)
    code, stderr = seen.finish()
    assert code == 2
    complaints = [line for line in stderr.splitlines() if line.startswith("ser-live: ")]
    assert len(complaints) == 1
    assert "truncated" in complaints[0]
    assert "Traceback" not in stderr
    seen.assert_put_back()


@pytest.mark.parametrize(
    ("broken", "code", "word"),
    [
        (
            "import streamer.screen.terminal as t; t.draw = lambda *_: 1 / 0\n",
            1,
            "the screen failed",
        ),
        (
            "import streamer.session.run as s; s.AudioBlock = lambda *_: 1 / 0\n",
            1,
            "ZeroDivisionError",
        ),
    ],
    ids=["screen", "pipeline"],
)
def test_a_bug_leaves_no_broken_terminal(terminal, long, broken, code, word):
    seen = terminal("replay", long, code=broken + RUN)
    returned, stderr = seen.finish()
    assert returned == code
    assert word in stderr
    seen.assert_put_back()
    if word == "the screen failed":
        assert "Traceback" not in stderr
        assert stderr.splitlines()[-1].startswith("ser-live: ")


def test_a_held_key_and_impatience_put_the_terminal_back_too(terminal, long):
    seen = terminal("replay", long)
    seen.wait_for("gaps 0")
    seen.press("qqqqq")
    seen.press("\x03\x03")
    code, stderr = seen.finish()
    assert code in (0, 130)
    assert "Traceback" not in stderr
    seen.assert_put_back()


def test_keys_work_while_audio_comes_through_a_pipe(terminal, speech):
    seen = terminal(
        "replay", "-", "--rate", 16_000, "--sample-format", "f32le", pipe=True
    )  # fmt: skip
    seen.process.stdin.write(speech[:32_000].tobytes())
    seen.process.stdin.flush()
    seen.wait_for("gaps 0")
    seen.press("q")
    code, stderr = seen.finish()
    assert code == 0
    assert "overall" in stderr
    seen.assert_put_back()


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize("wanted", [[], ["--format", "tui"]])
def test_terminals_without_colour_get_plain_lines(terminal, speech, tmp_path, environment, wanted):
    path = tmp_path / "short.wav"
    soundfile.write(path, speech[:16_000], 16_000)
    seen = terminal("replay", path, *wanted, **environment)
    code, stderr = seen.finish()
    assert (code, stderr) == (0, "")
    assert b"\x1b" not in seen.raw
    assert b"# 1.00 s:" in seen.raw


def test_without_a_terminal_the_tui_is_plain_lines_and_json_in_the_file(speech, tmp_path):
    path, output = tmp_path / "short.wav", tmp_path / "out.jsonl"
    soundfile.write(path, speech[:16_000], 16_000)
    result = ser_live("replay", path, "--format", "tui", "--output", output)
    assert result.returncode == 0
    assert result.stdout.startswith(b"# ")
    assert json.loads(output.read_text().splitlines()[-1])["type"] == "end"
    quiet = ser_live("replay", path, "--speed", "max", "--output", output, "--force")
    assert quiet.stdout == b""
    assert json.loads(output.read_text().splitlines()[-1])["type"] == "end"


def test_a_picture_of_a_recording(speech, tmp_path):
    path, output = tmp_path / "speech.wav", tmp_path / "screen.svg"
    soundfile.write(path, speech, 16_000)
    result = ser_live("picture", path, "--at", "4", "--size", "100x30", "--output", output)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    picture = output.read_text()
    assert picture.startswith("<svg")
    assert "0:04." in picture
    whole = ser_live("picture", path)
    assert b"0:09." in whole.stdout
    assert whole.stderr == b""
    late = ser_live("picture", path, "--at", "60")
    assert late.returncode == 0
    assert "before --at 60; the picture shows its end" in complaint(late)
    assert b"0:09." in late.stdout


def test_a_moving_picture_goes_through_the_seconds_before_its_moment(speech, tmp_path):
    path, output = tmp_path / "speech.wav", tmp_path / "screen.svg"
    soundfile.write(path, speech, 16_000)
    result = ser_live("picture", path, "--at", "4", "--moving", "2", "--output", output)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    clocks = set(re.findall(r">(0:\d\d\.\d)<", output.read_text(encoding="utf-8")))
    assert {"0:02.2", "0:03.0", "0:04.0"} <= clocks
    assert all("0:02.0" <= clock <= "0:04.0" for clock in clocks)


def test_a_picture_of_a_recording_that_is_cut_shows_what_there_is(speech, tmp_path):
    path, output = tmp_path / "cut.wav", tmp_path / "screen.svg"
    soundfile.write(path, speech, 16_000)
    path.write_bytes(path.read_bytes()[:150_000])
    result = ser_live("picture", path, "--output", output)
    assert "truncated" in complaint(result)
    assert result.returncode == 2
    assert "0:04." in output.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["x"],
        ["pyproject.toml"],
        ["assets/demo.flac", "--size", "big"],
        ["assets/demo.flac", "--size", "1x1"],
        ["assets/demo.flac", "--at", "-1"],
        ["assets/demo.flac", "--moving", "0"],
        ["assets/demo.flac", "--moving", "nan"],
        ["assets/demo.flac", "--moving", "61"],
    ],
)
def test_a_picture_of_nothing_is_one_line_and_exit_2(arguments):
    result = ser_live("picture", *arguments)
    assert result.returncode == 2
    assert result.stdout == b""
    assert result.stderr.count(b"\n") == 1


def test_other_outputs_and_help_do_not_import_rich():
    code = (
        "import sys; from streamer.commands.program import main\n"
        "from streamer.session.interrupts import Interrupts\n"
        "options = ['--speed', 'max', '--format', 'jsonl']\n"
        "assert main(['replay', sys.argv[1], *options], Interrupts()) == 0\n"
        "try: main(['replay', '--help'], Interrupts())\n"
        "except SystemExit: pass\n"
        "assert 'rich' not in sys.modules"
    )
    clip = sorted((ROOT / "tests" / "clips").glob("*.flac"))[0]
    result = subprocess.run([sys.executable, "-c", code, str(clip)], cwd=ROOT, capture_output=True)
    assert result.returncode == 0, result.stderr


#: A shell's part in job control: the command in a process group of its own.
SHELL = """
import os, signal, sys, time
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    if {is_foreground}:
        os.tcsetpgrp(1, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    {run}
_, status = os.waitpid(child, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.tcsetpgrp(1, os.getpgrp())
    print("the shell again", flush=True)
    time.sleep(1.5)
    os.tcsetpgrp(1, child)
    os.kill(child, signal.SIGCONT)
    _, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_ctrl_z_stops_it_with_the_terminal_put_back_and_fg_goes_on(terminal, long):
    code = SHELL.format(is_foreground=True, run=RUN)
    seen = terminal("replay", long, code=code)
    seen.wait_for("gaps 0", "quit")
    seen.press("\x1a")
    seen.wait_for("the shell again")
    assert seen.raw.count(b"\x1b[?1049l") == 1
    seen.wait_for("gaps 0", "quit", absent=("the shell again",))
    later = time.monotonic() + 2.0
    while time.monotonic() < later:  # the audio of the stop comes late, and is not held against it
        seen.read()
    # 1.5 s are 37 estimates; a busy machine may hold up a few of the others.
    held_up = re.search(r"held up +(\d+)", seen.text)
    assert held_up is None or int(held_up[1]) < 20
    seen.press("q")
    code, stderr = seen.finish()
    assert code == 0
    assert "overall" in stderr
    assert seen.raw.count(b"\x1b[?1049h") == seen.raw.count(b"\x1b[?1049l") == 2


def test_sent_on_in_the_background_it_draws_nothing_over_the_shell(terminal, long):
    code = SHELL.format(is_foreground=True, run=RUN).replace(
        "os.tcsetpgrp(1, child)\n    os.kill(child, signal.SIGCONT)",
        "os.kill(child, signal.SIGCONT)\n    time.sleep(2.0)\n    print('the prompt', flush=True)\n"
        "    os.tcsetpgrp(1, child)",
    )
    seen = terminal("replay", long, code=code)
    seen.wait_for("gaps 0", "quit")
    seen.press("\x1a")
    seen.wait_for("the prompt")
    assert seen.raw.count(b"\x1b[?1049h") == 1  # not again before it is in the foreground
    seen.wait_for("gaps 0", "quit", absent=("the prompt",))
    seen.press("q")
    assert seen.finish()[0] == 0


def test_in_the_background_it_writes_and_is_not_stopped(terminal, speech, tmp_path):
    path, output = tmp_path / "short.wav", tmp_path / "out.jsonl"
    soundfile.write(path, speech[:16_000], 16_000)
    code = SHELL.format(is_foreground=False, run=RUN)
    seen = terminal("replay", path, "--output", output, code=code)
    code, _ = seen.finish()
    assert code == 0
    assert "the shell again" not in seen.text
    assert b"\x1b[?1049h" not in seen.raw
    assert json.loads(output.read_text().splitlines()[-1])["type"] == "end"


@pytest.mark.parametrize(
    ("environment", "there", "not_there"),
    [
        ({}, b"48;2;38;45;52", b"48;5;"),
        ({"COLORTERM": ""}, b"48;5;236", b"48;2;"),
        ({"COLORTERM": "", "TERM": "xterm"}, b"\x1b[", b"48;5;"),
    ],
)
def test_colours_are_those_that_the_terminal_has(terminal, long, environment, there, not_there):
    seen = terminal("replay", long, **environment)
    seen.wait_for("gaps 0", "quit")
    seen.press("q")
    assert seen.finish()[0] == 0
    assert there in seen.raw
    assert not_there not in seen.raw
