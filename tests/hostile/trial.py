"""Gives hostile files to the readers in a separate process, which may crash or hang.

``python -m tests.hostile.trial recordings|models FILE...`` prints a JSON line after each file;
:func:`try_files` runs that, and restarts it after a file that ends it.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.places import ROOT

#: Memory limit of the process, including the interpreter and its libraries.
ADDRESS_SPACE = 6 * 2**30


@dataclass(frozen=True)
class Outcome:
    """The result of a file.

    Attributes:
        kind: ``read`` or ``refused``; or a fault: ``failure`` at run time, ``crash`` or ``hang``.
        line: the error, or how the process ended.
        seconds: processor time, or wall time if it never ended.
        peak_mb: growth of the process's peak memory.
    """

    kind: str
    line: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0


def try_files(reader: str, files: list[Path], patience_s: float = 60.0) -> dict[Path, Outcome]:
    """Give each file to a reader (``recordings`` or ``models``); a hang is ended after a while."""
    outcomes: dict[Path, Outcome] = {}
    while rest := [path for path in files if path not in outcomes]:
        outcomes |= _try_until_the_end(reader, rest, patience_s)
    return outcomes


def _try_until_the_end(reader: str, files: list[Path], patience_s: float) -> dict[Path, Outcome]:
    """Return the outcomes up to the first file that ends the process, or of all files."""
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "tests.hostile.trial", reader, *files],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the mp3 decoder is talkative
        bufsize=0,  # waiting does not see buffered lines
    )
    assert process.stdout is not None
    outcomes = {}
    for path in files:
        is_answered = select.select([process.stdout], [], [], patience_s)[0]
        line = process.stdout.readline() if is_answered else b""
        if not line:
            process.kill()
            kind = "crash" if is_answered else "hang"
            outcomes[path] = Outcome(kind, f"exit code {process.wait()}", patience_s)
            break
        outcomes[path] = Outcome(**json.loads(line))
    process.stdout.close()
    process.wait()
    return outcomes


def _hear(path: Path) -> None:
    import numpy as np

    from streamer.sound.files.recording import Recording
    from streamer.sound.resampler import Resampler

    with Recording(path) as recording:
        resampler = Resampler(recording.sample_rate)
        for block in recording.blocks(10):
            assert np.isfinite(resampler.accept(block)).all()


def _load(path: Path) -> None:
    import numpy as np

    from streamer.recognition.recognizer import Recognizer

    Recognizer.load(path).stream().accept(np.full(3_200, 0.1, np.float32))


def _try_one(reader: str, path: Path) -> Outcome:
    from streamer.errors import RunFailure, SerLiveError, told

    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kind, line = "read", ""
    try:
        {"recordings": _hear, "models": _load}[reader](path)
    except RunFailure as error:
        kind, line = "failure", told(error)
    except SerLiveError as error:
        kind, line = "refused", told(error)
    except Exception as error:
        kind, line = "crash", repr(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return Outcome(kind, line, time.process_time() - began, grown / 1024)


def main() -> None:
    from streamer.commands.program import own_stdout

    own_stdout()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    reader, *names = sys.argv[1:]
    for name in names:
        print(json.dumps(vars(_try_one(reader, Path(name)))), flush=True)


if __name__ == "__main__":
    main()
