"""Numbers on the command line and in the configuration file: what is wanted is said."""

from __future__ import annotations

import argparse
import math

import pytest

from streamer.commands.numbers import Number, Whole
from streamer.commands.parser import command_parsers, parse
from streamer.errors import SerLiveError
from train.__main__ import make_parser as make_training_parser


def _commands():
    yield from command_parsers().items()
    parser = make_training_parser()
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    yield from commands.choices.items()


OPTIONS = [
    pytest.param(parser, action, id=f"{name} {action.option_strings[-1]}")
    for name, parser in _commands()
    for action in parser._actions
    if isinstance(action.type, Whole | Number)
]


def test_no_option_of_any_command_takes_a_number_in_another_way():
    bare = [
        f"{name} {action.option_strings}"
        for name, parser in _commands()
        for action in parser._actions
        if action.type in (int, float, complex)
    ]
    assert not bare
    assert len(OPTIONS) > 15


@pytest.mark.parametrize(("parser", "action"), OPTIONS)
@pytest.mark.parametrize("value", ["x", "nan", "-1", "1e999", "9" * 5_000, ""])
def test_a_wrong_number_is_told_with_what_is_wanted(parser, action, value):
    option = action.option_strings[-1]
    with pytest.raises(SerLiveError) as refused:
        parser.parse_args([f"{option}={value}"])
    assert str(refused.value).startswith(f"{option}: {value!r} is not {action.type.wanted}; see ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("serve --port x", "--port: 'x' is not a whole number from 0 to 65535"),
        ("serve --port 65536", "--port: '65536' is not a whole number from 0 to 65535"),
        ("serve --max-idle 0", "--max-idle: '0' is not a number of seconds, more than 0"),
        ("replay a --block-ms 0", "--block-ms: '0' is not a whole number from 1 to 10000"),
        ("replay - --rate 999", "--rate: '999' is not a whole number from 1000 to 768000"),
        ("score a --workers 1.5", "--workers: '1.5' is not a whole number from 1 to 256"),
        (
            "picture a --moving 61",
            "--moving: '61' is not a number of seconds, more than 0, 60 at most",
        ),
        ("picture a --at inf", "--at: 'inf' is not a number of seconds, 0 or more"),
        ("latency --seconds 0.5", "--seconds: '0.5' is not a number of seconds from 1 to 86400"),
    ],
)
def test_the_bounds_are_in_the_sentence(words, told):
    with pytest.raises(SerLiveError) as refused:
        parse(words.split())
    assert str(refused.value).partition("; see ")[0] == told


def test_the_bounds_themselves_are_allowed():
    assert [parse(["serve", "--port", one]).port for one in ("0", "65535")] == [0, 65_535]
    assert parse(["picture", "a", "--moving", "60", "--at", "0"]).moving == 60.0
    assert parse(["picture", "a"]).at == math.inf
