"""Hangs whoever opens a recording named hanger.wav, as a mount does whose server is gone."""

import sys
import time


def _watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith("hanger.wav"):
        time.sleep(3600)


sys.addaudithook(_watch)
