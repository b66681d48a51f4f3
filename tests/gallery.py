"""``python -m tests.gallery``: the pictures in ``assets/gallery``, all made from the demo.

It needs Chromium and the extra ``serve``, and takes a minute: the screen and the page are drawn
from sessions in real time, so their latencies differ from run to run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import soundfile
from PIL import Image  # of matplotlib's requirements

from tests.helpers.chromium import CHROMIUM, Chromium
from tests.helpers.command import COMMAND
from tests.helpers.places import ROOT
from tests.serve.serving import Command

#: Relative to the repository, where the commands run, because pictures show this path.
DEMO = Path("assets", "demo.flac")
FOLDER = ROOT / "assets" / "gallery"
SCHEMES = ("light", "dark")
#: Moment of the demo in the pictures: all four emotions have been heard, the last is shown.
MOMENT_S = 9.4
SCREEN = "100x30"
WINDOW = (1100, 860)
#: Number of colours in a screenshot: few enough for a small file, without a visible difference.
COLOURS = 128
PATIENCE_S = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gallery", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: %(default)s")
    folder = parser.parse_args().folder
    if CHROMIUM is None:
        parser.error("Chromium is not installed; without it there are no pictures of pages")
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        screens(folder)
        reports(folder, Path(scratch))
        pages(folder, Path(scratch))
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    for name, size in sizes.items():
        print(f"{size / 1e3:7.0f} kB  {name}")
    print(f"{sum(sizes.values()) / 1e3:7.0f} kB  in all")
    return 0


def screens(folder: Path) -> None:
    """The terminal's screen, still and moving."""
    shown = ("picture", DEMO, "--speed", "1", "--size", SCREEN, "--at", MOMENT_S, "--force")
    ser_live(*shown, "--output", folder / "screen.svg")
    ser_live(*shown, "--moving", MOMENT_S, "--output", folder / "screen-moving.svg")


def reports(folder: Path, scratch: Path) -> None:
    """A report as SVG, and its page in a browser."""
    session, page = scratch / "demo.jsonl", scratch / "report.html"
    ser_live("replay", DEMO, "--speed", "1", "--format", "jsonl", "--output", session)
    ser_live("report", session, "--output", folder / "report.svg", "--force")
    ser_live("report", session, "--output", page, "--sound", DEMO)
    with Chromium(scratch / "report") as browser:
        browser.resize(*WINDOW)
        for scheme in SCHEMES:
            browser.dress(scheme)
            browser.open(page)
            time.sleep(0.5)
            save(browser, folder / f"report-{scheme}.png")


def pages(folder: Path, scratch: Path) -> None:
    """The server's page, with the demo as its microphone."""
    microphone = scratch / "microphone.wav"
    samples, rate = soundfile.read(ROOT / DEMO, dtype="float32")
    soundfile.write(microphone, samples, rate, subtype="PCM_16")
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    )
    with Command() as server, Chromium(scratch / "page", *flags) as browser:
        browser.resize(*WINDOW)
        browser.open(f"{server.http}/")
        browser.value("localStorage.setItem('prior', 'balanced')")
        browser.open(f"{server.http}/")
        until(browser, "document.querySelectorAll('#bars li').length === 4")
        browser.value("document.getElementById('listen').click()")
        # Wait until all four emotions have been heard; the recording repeats.
        until(browser, "document.getElementById('clock').textContent > '0:10'")
        until(browser, "document.getElementById('word').textContent === 'happy'")
        for scheme in SCHEMES:
            browser.dress(scheme)
            time.sleep(0.2)
            save(browser, folder / f"page-{scheme}.png")


def until(browser: Chromium, expression: str) -> None:
    """Wait until an expression is true in the page."""
    deadline = time.monotonic() + PATIENCE_S
    while not browser.value(expression):
        if time.monotonic() > deadline:
            raise SystemExit(f"the page never came to {json.dumps(expression)}")
        time.sleep(0.02)


def save(browser: Chromium, path: Path) -> None:
    """Save the window as PNG with few colours."""
    picture = Image.open(BytesIO(browser.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def ser_live(*arguments: object) -> None:
    subprocess.run([*COMMAND, *map(str, arguments)], cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
