"""The page in a real browser, with a recording as its microphone."""

from __future__ import annotations

import tests.serve.needed  # isort: skip  # noqa: F401 (skips the file)

import base64
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from textgrid import TextGrid

from streamer.formats.reader import read_sessions
from streamer.recognition.profile import Profile
from streamer.recognition.recognizer import Recognizer
from tests.helpers.chromium import CHROMIUM, Chromium
from tests.helpers.command import EMOTIONS
from tests.helpers.places import CLIPS, ROOT

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

TOKEN = "0123456789abcdef-a-token"
PATIENCE_S = 60
WIDTHS = (390, 800, 1280)
#: Where screenshots go that a person wants to look at.
PICTURES = os.environ.get("SER_LIVE_PICTURES")


class Page(Chromium):
    """The page, as a person finds it."""

    def text(self, name):
        return self.value(f"document.getElementById('{name}').textContent")

    def click(self, name):
        self.value(f"document.getElementById('{name}').click()")

    def until(self, expression):
        """Wait until an expression is true, and say what it is."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if found := self.value(expression):
                return found
            time.sleep(0.05)
        told = [self.text(name) for name in ("status-text", "word", "sure", "problem")]
        raise AssertionError(f"never: {expression}; the page says {told}")

    def until_text(self, name, part):
        return self.until(
            f"document.getElementById('{name}').textContent.includes({json.dumps(part)})"
        )

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, text=key)


@pytest.fixture
def browse(tmp_path):
    @contextmanager
    def begin(clip=None, *flags):
        if clip is not None:
            samples, rate = soundfile.read(clip, dtype="float32")
            wav = tmp_path / "microphone.wav"
            soundfile.write(wav, samples, rate, subtype="PCM_16")
            flags = (
                *flags,
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={wav}",
            )
        with Page(tmp_path / "browser", "--use-fake-device-for-media-stream", *flags) as page:
            yield page

    return begin


def open_whole(page, server):
    """Open the page, and wait until it has heard from the server what it shows."""
    page.open(f"{server.http}/")
    page.until("document.querySelectorAll('#bars li').length === 4")


def complaints(page):
    return [
        event
        for event in page.complaints()
        if event["params"].get("entry", {}).get("level") not in ("verbose", "info")
    ]


@pytest.mark.parametrize(("clip", "label"), [(CLIPS[0], "angry"), (CLIPS[3], "sad")])
def test_the_label_of_the_recording_appears(server, browse, clip, label):
    assert label[:3].upper() in clip.name
    with browse(clip) as page:
        page.open(f"{server.http}/")
        page.until_text("status-text", "not listening")
        assert "not what a person feels" in page.text("limits")
        page.value("localStorage.setItem('prior', 'balanced')")
        open_whole(page, server)
        page.click("listen")
        page.until_text("word", label)
        page.until_text("announce", label)  # what a screen reader says
        assert "% sure" in page.text("sure")
        page.until("document.getElementById('late').textContent.endsWith(' ms late')")
        page.until("document.getElementById('meter-text').textContent.endsWith(' dBFS')")
        assert page.text("problem") == ""
        assert complaints(page) == []
        assert {url.split("/")[2] for url in page.requested() if url.startswith("http")} == {
            f"127.0.0.1:{server.port}"
        }


def save_both(page, saved):
    """Saves JSON lines and TextGrid, and waits until both files are there."""
    page.click("save-jsonl")
    page.click("save-textgrid")
    deadline = time.monotonic() + PATIENCE_S
    while len([*saved.glob("*.jsonl"), *saved.glob("*.TextGrid")]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)


def test_marks_and_what_is_saved(server, browse, tmp_path):
    saved = tmp_path / "saved"
    with browse(CLIPS[2]) as page:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
        open_whole(page, server)
        page.press("l")
        page.until("document.getElementById('clock').textContent > '0:02'")
        page.press("m")
        page.until_text("announce", "marked at")
        page.press("l")
        page.until_text("status-text", "not listening")
        page.until_text("sure", "overall")
        save_both(page, saved)
    [session] = read_sessions(next(saved.glob("*.jsonl")), print)
    assert session.end is not None
    assert len(session.times) == session.end.estimates
    assert len(session.marks) == 1
    labels, marks = TextGrid.fromFile(str(next(saved.glob("*.TextGrid")))).tiers
    assert labels.maxTime == pytest.approx(max(session.end.duration_s, session.times[-1]))
    assert [one.time for one in marks] == pytest.approx(session.marks)


def dropped(data, name="a clip.flac"):
    """Drops a file on the page."""
    text = base64.b64encode(data).decode()
    return f"""(() => {{
        const bytes = Uint8Array.from(atob("{text}"), (one) => one.charCodeAt(0));
        const carried = new DataTransfer();
        carried.items.add(new File([bytes], "{name}"));
        dispatchEvent(new DragEvent("drop", {{ dataTransfer: carried, cancelable: true }}));
    }})()"""


def test_a_recording_that_is_dropped_is_heard_to_its_end(server, browse):
    with browse() as page:
        open_whole(page, server)
        page.value(dropped(CLIPS[0].read_bytes()))
        page.until_text("status-text", "recording heard")
        assert page.text("word") == "angry"
        assert page.text("sure").startswith("overall")
        assert "a clip.flac" in page.text("facts")
        page.value(dropped(CLIPS[3].read_bytes(), f"{'a' * 199}\N{GRINNING FACE}.flac"))
        page.until_text("facts", "aaa\N{GRINNING FACE}")
        page.until_text("status-text", "recording heard")
        page.value(dropped(b"no sound at all"))
        page.until_text("problem", "cannot decode a clip.flac")


def fact(page, name):
    return page.value(
        "[...document.querySelectorAll('#facts div')].find("
        f"(one) => one.firstChild.textContent === '{name}').lastChild.textContent"
    )


def test_a_profile_is_made_from_the_microphone_and_used(
    server, shipped, browse, wav, tmp_path, monkeypatch
):
    monkeypatch.setattr("streamer.serve.app.GOOD_SPEECH_S", 6.0)  # half a minute is long
    saved = tmp_path / "saved"
    with browse(wav) as page:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
        open_whole(page, server)
        assert page.text("voice-text") == "not known"
        assert "no audio" in page.text("voice-note")
        page.click("voice-make")
        page.until_text("status-text", "making a profile")
        page.until_text("sure", "3 s of 6 s of speech: talk as you usually do")
        page.click("listen")  # too early
        page.until_text("problem", "No profile was made, and nothing was kept")
        page.until_text("status-text", "not listening")
        assert page.text("voice-text") == "not known"
        page.click("voice-make")
        page.until_text("voice-text", "known from what you just said")
        page.until_text("status-text", "not listening")
        assert "its profile was saved" in page.text("sure")
        deadline = time.monotonic() + PATIENCE_S
        while not (files := list(saved.glob("*.profile"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        profile = Profile.load(files[0])
        shipped.check_profile(profile)
        page.click("listen")
        page.until_text("facts", f"profile {profile.short_digest}")
        page.click("listen")
        page.until_text("status-text", "not listening")
        page.click("voice-forget")
        page.click("listen")
        page.until("document.getElementById('facts').textContent.includes('voicestream')")
        assert complaints(page) == []


def test_a_profile_that_is_loaded_is_used_and_a_wrong_one_refused(server, shipped, browse, speech):
    known = shipped.enrol(speech)
    other = known.to_values() | {"digest": "0" * 64}
    with browse() as page:
        open_whole(page, server)
        page.value(dropped(b'{"type":"session"}', "me.profile"))
        page.until_text("problem", "me.profile is no profile of a voice")
        page.value(dropped(known.to_json().encode(), "me.profile"))
        page.until_text("voice-text", "known from me.profile")
        page.value(dropped(CLIPS[0].read_bytes()))
        page.until_text("status-text", "recording heard")
        assert fact(page, "voice") == f"profile {known.short_digest}"
        page.value(dropped(json.dumps(other).encode(), "other.profile"))
        page.until_text("voice-text", "known from other.profile")
        page.value(dropped(CLIPS[0].read_bytes()))
        page.until_text("problem", "start: profile: it was made with the model")


def test_a_model_that_knows_no_voices_says_so(export_lively, browse):
    from streamer.serve.config import ServerConfig
    from tests.serve.serving import InThread

    plain = Recognizer.load(export_lively("live").path)
    with browse() as page, InThread(ServerConfig(port=0), plain) as running:
        page.open(f"{running.http}/")
        page.until_text("voice-text", "the model test knows no voices")
        assert page.value("document.getElementById('voice-make').disabled")
        assert page.value("document.getElementById('voice-load').disabled")


def test_a_microphone_that_is_refused(server, browse):
    with browse(None, "--deny-permission-prompts") as page:
        open_whole(page, server)
        page.click("listen")
        page.until_text("problem", "The microphone was refused")
        assert page.text("listen-text") == "Listen"


def test_a_microphone_that_gives_zeros(server, browse, tmp_path):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(32_000, np.float32), 16_000)
    with browse(silent) as page:
        open_whole(page, server)
        page.click("listen")
        page.until_text("problem", "digital silence")


def test_a_microphone_that_is_lost(server, browse):
    with browse(CLIPS[0]) as page:
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="const ask = MediaDevices.prototype.getUserMedia; window.streams = [];"
            "MediaDevices.prototype.getUserMedia = async function (...all) {"
            "const one = await ask.apply(this, all); streams.push(one); return one; };",
        )
        open_whole(page, server)
        page.click("listen")
        page.until_text("status-text", "listening")
        page.until("streams.length && document.getElementById('clock').textContent")
        page.value("streams[0].getAudioTracks()[0].dispatchEvent(new Event('mute'))")
        page.until_text("problem", "is muted by the system")
        page.value("streams[0].getAudioTracks()[0].dispatchEvent(new Event('ended'))")
        page.until_text("problem", "The microphone is gone")
        assert page.text("listen-text") == "Listen"


def test_a_server_that_goes_and_comes_back(shipped, browse):
    from streamer.serve.config import ServerConfig
    from tests.serve.serving import InThread

    with browse(CLIPS[0]) as page:
        with InThread(ServerConfig(port=0), shipped) as first:
            page.open(f"{first.http}/")
            page.until("document.querySelectorAll('#bars li').length === 4")
            page.click("listen")
            page.until("document.getElementById('clock').textContent > '0:01'")
            port = first.port
        page.until_text("problem", "Trying again")
        page.until_text("status-text", "reconnecting")
        with InThread(ServerConfig(port=port), shipped):
            page.until("document.getElementById('status-text').textContent === 'listening'")
            page.until("document.getElementById('problem').hidden")


def test_a_server_without_room_is_told_and_tried_again(serve_with, browse):
    import asyncio

    from websockets.asyncio.client import connect

    from tests.serve.serving import start

    server = serve_with({"streams": 1})

    async def hold(page):
        async with connect(server.stream) as client:
            await client.send(start())
            await client.recv()
            await asyncio.to_thread(page.click, "listen")
            await asyncio.to_thread(page.until_text, "problem", "has no room")

    with browse(CLIPS[0]) as page:
        open_whole(page, server)
        asyncio.run(hold(page))
        page.until("document.getElementById('status-text').textContent === 'listening'")


def test_a_token_is_asked_for(serve_with, browse):
    server = serve_with(token=TOKEN)
    with browse(CLIPS[0]) as page:
        page.open(f"{server.http}/")
        page.until("!document.getElementById('token-form').hidden")
        for given in ("a wrong token, though a long one", TOKEN):
            page.value(
                f"document.getElementById('token').value = '{given}';"
                "document.querySelector('#token-form button').click()"
            )
            if given != TOKEN:
                page.until_text("problem", "does not know this token")
        page.until("document.querySelectorAll('#bars li').length === 4")
        page.click("listen")
        page.until("document.getElementById('status-text').textContent === 'listening'")
        page.open(f"{server.http}/?token={TOKEN}")
        page.until("document.querySelectorAll('#bars li').length === 4")
        assert TOKEN not in page.value("location.href")


def test_nothing_spreads_beyond_the_window_and_everything_has_a_name(server, browse):
    """And pictures at three widths, dark and light, for a person to look at."""
    with browse(ROOT / "assets" / "demo.flac") as page:
        page.resize(1_280)
        open_whole(page, server)
        page.click("listen")
        page.until(f"document.getElementById('clock').textContent > '0:0{8 if PICTURES else 2}'")
        page.click("mark")
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                page.resize(width, 1_150 if width < 500 else 950)
                page.dress(scheme)
                time.sleep(0.3)
                assert page.value("document.documentElement.scrollWidth") <= width
                picture = page.screenshot()
                if PICTURES:
                    Path(PICTURES, f"page-{width}-{scheme}.png").write_bytes(picture)
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        controls = [one for one in tree if one["role"]["value"] in ("button", "combobox", "meter")]
        assert len(controls) >= 7
        assert all(one["name"]["value"] for one in controls)
        status = [one for one in tree if one["role"]["value"] == "status"]
        assert status, "nothing tells a screen reader of a new label"


def test_a_microphone_that_comes_after_stop_is_let_go(server, browse):
    with browse(CLIPS[0]) as page:
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="const ask = MediaDevices.prototype.getUserMedia; window.streams = [];"
            "MediaDevices.prototype.getUserMedia = async function (...all) {"
            "const one = await ask.apply(this, all);"
            "await new Promise((go) => { window.go = go; }); streams.push(one); return one; };",
        )
        open_whole(page, server)
        page.click("listen")
        page.until("Boolean(window.go)")
        page.click("listen")
        page.value("go()")
        page.until("streams.length === 1")
        page.until("streams[0].getTracks().every((one) => one.readyState === 'ended')")
        assert page.text("status-text") == "not listening"
        assert page.text("listen-text") == "Listen"
        page.value("window.go = null")
        page.click("listen")  # and once more, to the end
        page.until("Boolean(window.go)")
        page.value("go()")
        page.until("document.getElementById('status-text').textContent === 'listening'")


@pytest.fixture
def by_hand(server, browse):
    """A page whose sockets lead nowhere: what servers say is said by hand."""
    with browse(CLIPS[0]) as page:
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.sockets = []; window.WebSocket = class { bufferedAmount = 0;"
            "constructor() { sockets.push(this); } send() {} close() {}"
            "say(line) { this.onmessage({ data: JSON.stringify(line) }); } };",
        )
        open_whole(page, server)
        yield page


SESSION = {"type": "session", "look_ahead_ms": 40, "sample_rate": 16_000, "prior": "balanced"}
LIKELY = dict.fromkeys(EMOTIONS, 0.25)
ESTIMATE = {"type": "estimate", "time": 9.0, "label": "sad", "probabilities": LIKELY, "speech": 1.0}
VERDICT = {
    **{"type": "end", "duration": 9.0, "estimates": 1, "overall": "happy"},
    **{"summary": {"happy": 1.0}, "probabilities": LIKELY},
}


def begin_stream(page, number):
    """Let a stream begin at the server, and have its first estimate."""
    page.until(f"sockets.length === {number + 1}")
    for line in (SESSION, ESTIMATE):
        page.value(f"sockets[{number}].say({json.dumps(line)})")


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("first", ["microphone", "recording"])
def test_the_end_of_a_stream_that_was_stopped_leaves_the_next_one_alone(by_hand, first, is_early):
    page = by_hand
    if first == "microphone":
        page.click("listen")
    else:
        page.value(dropped(CLIPS[0].read_bytes()))
    begin_stream(page, 0)
    ended = "sockets[0].onclose({ code: 1000, reason: '' })"
    # Stopped, and begun again at once; the first ends before the second begins, or after it.
    page.value(f"listen.click(); listen.click(); {ended if is_early else ''}")
    page.until("sockets.length === 2")
    page.value("sockets[1].onopen()")
    begin_stream(page, 1)
    page.value(f"sockets[0].say({json.dumps(VERDICT)})")
    if not is_early:
        page.value(ended)
    page.until("document.getElementById('clock').textContent === '0:09.0'")
    time.sleep(1.5)  # it would connect again after 1 s
    assert page.value("sockets.length") == 2
    assert page.text("status-text") == "listening"
    assert page.text("listen-text") == "Stop"
    assert page.text("word") == "sad"
    assert page.text("problem") == ""


def test_a_mark_is_a_moment_of_its_own_session(by_hand):
    page = by_hand
    page.value(dropped(CLIPS[0].read_bytes()))
    begin_stream(page, 0)
    page.value(f"sockets[0].say({json.dumps(SESSION)})")
    page.click("mark")
    assert page.text("announce") == "sad"


def test_hours_are_no_burden_and_are_saved_whole(server, browse, tmp_path):
    saved = tmp_path / "saved"
    with browse() as page:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.WebSocket = class { constructor() { window.server = this; } };"
            "const Own = Blob; window.largest = 0; window.Blob = class extends Own {"
            "constructor(parts, kind) { super(parts, kind);"
            "for (const one of parts) if (one.length > largest) largest = one.length; } };",
        )
        open_whole(page, server)
        page.value(dropped(CLIPS[0].read_bytes()))
        page.until("Boolean(window.server)")
        page.value(
            f"""(() => {{
                const say = (line) => window.server.onmessage({{ data: JSON.stringify(line) }});
                say({json.dumps(SESSION)});
                const probabilities = {{ angry: 0.25, happy: 0.25, neutral: 0.25, sad: 0.25 }};
                for (let i = 1; i <= 12000; i++) {{
                  say({{ type: "estimate", time: i / 25, label: "sad", probabilities }});
                  if (i === 11999) document.getElementById("mark").click();
                }}
            }})()"""
        )
        page.until_text("clock", "8:00.0")
        save_both(page, saved)
        assert page.value("largest") < 5_000 * 120  # characters
        assert complaints(page) == []
    [whole] = saved.glob("*.jsonl")
    lines = [json.loads(line) for line in whole.read_text().splitlines()]
    times = [one["time"] for one in lines[1:] if one["type"] == "estimate"]
    assert times == [i / 25 for i in range(1, 12_001)]
    labels, marks = TextGrid.fromFile(str(next(saved.glob("*.TextGrid")))).tiers
    assert labels.maxTime == pytest.approx(480)
    assert [one.time for one in marks] == [479.96]
