"""The entry point of the command."""

from __future__ import annotations

import subprocess
import sys

from tests.helpers.places import ROOT


def test_the_command_ends_though_a_process_of_its_own_cannot_be_ended():
    """Python would wait for the process; one on a mount whose server is gone never ends."""
    program = (
        "import multiprocessing, sys, time\n"
        "from streamer.commands import program\n"
        "multiprocessing.get_context('fork').Process(target=time.sleep, args=(90,)).start()\n"
        "sys.argv = ['ser-live', 'completion', 'bash']\n"
        "program.run()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.DEVNULL, timeout=60
    )
    assert result.returncode == 0
