"""Wrong usage of a command line, told in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from streamer.errors import SerLiveError


class Parser(argparse.ArgumentParser):
    """Raises wrong usage as an error of one line."""

    def error(self, message: str) -> NoReturn:
        raise SerLiveError(f"{message.removeprefix('argument ')}; see {self.prog} --help")
