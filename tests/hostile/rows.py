"""Every command of ``ser-live`` with arguments for a run, and with all files that it can write.

The tests fail if a command has no row here, or if a row lacks an option that writes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from streamer.commands.options import file_or_folder
from streamer.commands.parser import make_parser


@dataclass(frozen=True)
class Row:
    """A run of a command.

    Attributes:
        arguments: ``{wav}`` is a recording, ``{session}`` the JSON lines of one, ``{voices}`` a
            model that knows voices.
        outputs: option -> name of the file or folder that it makes; the option is empty where the
            name is the first argument.
        listens: whether it needs a microphone.
    """

    arguments: tuple[str, ...] = ()
    outputs: dict[str, str] = field(default_factory=dict)
    listens: bool = False

    def filled(self, **values: object) -> list[str]:
        """Return the arguments with paths filled in."""
        return [argument.format(**values) for argument in self.arguments]

    def options(self, folder: Path) -> list[str]:
        """Return the options that write every output into a folder; they precede the arguments."""
        return [part for option in self.outputs for part in self.option(option, folder)]

    def option(self, option: str, folder: Path) -> list[str]:
        """Return the option that writes one output into a folder."""
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
#: Commands that run until they are stopped; ``tests/serve/test_ends.py`` tests them.
ENDLESS = {"serve"}


def writing_options(command: str) -> set[str]:
    """Return every long option of a command that takes a path to write to."""
    (commands,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {
        option
        for action in commands.choices[command]._actions
        for option in action.option_strings
        if action.type in (Path, file_or_folder) and option.startswith("--") and option not in READ
    }
