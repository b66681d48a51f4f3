"""Every command of ``ser-live`` with something to do, and every file that it can be told to write.

A command without a row here fails the tests; so does an option that writes and is not in its row.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from streamer.commands.parser import make_parser


@dataclass(frozen=True)
class Row:
    """What to do.

    Attributes:
        arguments: ``{wav}`` is a recording, ``{session}`` the JSON lines of one, ``{voices}`` a
            model that knows voices.
        outputs: option -> name of the file or folder that it makes; the option is empty where the
            name is the first argument.
        listens: needs a microphone.
    """

    arguments: tuple[str, ...] = ()
    outputs: dict[str, str] = field(default_factory=dict)
    listens: bool = False

    def filled(self, **values: object) -> list[str]:
        """The arguments with the files in their places."""
        return [argument.format(**values) for argument in self.arguments]

    def options(self, folder: Path) -> list[str]:
        """Write everything there is to write, into a folder; these go before the arguments."""
        return [part for option in self.outputs for part in self.option(option, folder)]

    def option(self, option: str, folder: Path) -> list[str]:
        """Write one file or folder, into a folder."""
        return [*filter(None, [option]), str(folder / self.outputs[option])]


ROWS = {
    "listen": Row(
        ("--duration", "1", "--format", "jsonl"),
        {"--output": "heard.jsonl", "--record": "heard.wav"},
        listens=True,
    ),
    "devices": Row(listens=True),
    "doctor": Row(listens=True),
    "replay": Row(("{wav}", "--speed", "max"), {"--output": "replayed.jsonl"}),
    "demo": Row(("--speed", "max"), {"--output": "demo.jsonl"}),
    "enrol": Row((*["{wav}"] * 5, "--model", "{voices}"), {"": "voice.profile"}),
    "picture": Row(("{wav}",), {"--output": "picture.svg"}),
    "info": Row(),
    "completion": Row(("bash",)),
    "latency": Row(
        ("{wav}", "--seconds", "1"), {"--json": "latency.json", "--plot": "latency.png"}
    ),
    "score": Row(("{wav}",), {"--output": "scores.csv", "--timeline": "timelines"}),
    "report": Row(("{session}",), {"--output": "report.svg"}),
    "convert": Row(("{session}",), {"--output": "converted.csv"}),
}
#: Options that take a file to read.
READ = {"--model", "--profile", "--labels", "--certfile", "--keyfile", "--also-model", "--config"}
#: It goes on until it is stopped, and is watched in ``tests/serve/test_ends.py``.
ENDLESS = {"serve"}


def writing_options(command: str) -> set[str]:
    """Every long option of a command that takes the path of something to write."""
    (commands,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {
        option
        for action in commands.choices[command]._actions
        for option in action.option_strings
        if action.type is Path and option.startswith("--") and option not in READ
    }
