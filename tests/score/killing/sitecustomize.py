"""Kills any process that opens a recording named killer.wav, as a crash in a decoder would."""

import os
import signal
import sys


def _watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith("killer.wav"):
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(_watch)
