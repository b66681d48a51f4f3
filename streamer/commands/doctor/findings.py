"""What the checks find, as text and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streamer.errors import SerLiveError, printable

SCHEMA = 1
NOT_EXAMINED = "not_examined"
Fact = str | int | float | bool | list[str] | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        part: name of the section.
        what: what is wrong and what to do.
        is_broken: whether the program needs it; without a microphone it still hears recordings.
    """

    part: str
    what: str
    is_broken: bool


@dataclass(slots=True)
class Section:
    """A part of the report: facts by name, and the problems of that part."""

    name: str
    facts: dict[str, Fact] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def add_problem(self, what: str, *, is_broken: bool = True) -> None:
        self.problems.append(Problem(self.name, what, is_broken))


def examine(name: str, check: Callable[[Section], None], before: Sequence[Section] = ()) -> Section:
    """Return what a check finds; whatever it raises is a problem, after the facts so far.

    What follows from a problem of an earlier section is not told again.
    """
    section = Section(name)
    told = [problem.what for one in before for problem in one.problems]
    try:
        check(section)
    except SerLiveError as error:
        what = str(error)
        if any(what in one for one in told):
            section.facts[NOT_EXAMINED] = "what it needs is broken"
        else:
            section.add_problem(what)
    except Exception as error:  # anything may be broken here, and the report must come
        if isinstance(error, ImportError) and told:
            section.facts[NOT_EXAMINED] = "what it needs is broken"
        else:
            what = f"{type(error).__name__}: {error}"
            section.add_problem(f"{what}; install ser-live again, or report this")
    return section


def without_home(text: str) -> str:
    """Return the text with ``~`` for the home folder, whose name is often that of its owner."""
    try:
        homes = {Path.home(), Path.home().resolve()}
    except (RuntimeError, OSError):
        return text
    for home in homes:
        if home != Path(home.anchor):  # in a container it may be the root
            text = re.sub(rf"{re.escape(str(home))}(?!\w)", "~", text)
    return text


def as_text(sections: Sequence[Section]) -> str:
    """Return the report for people: a paragraph for each section, what is wrong at the end."""
    lines = []
    for section in sections:
        lines.append(section.name)
        width = max((len(name) for name in section.facts), default=0)
        for name, fact in section.facts.items():
            for at, value in enumerate(_values(fact)):
                lines.append(f"  {'' if at else _words(name):<{width}}  {value}")
        lines.append("")
    problems = [problem for section in sections for problem in section.problems]
    lines.append("what is wrong" if problems else "nothing is wrong")
    lines += [f"  {problem.part}: {problem.what}" for problem in problems]
    return "\n".join(without_home(printable(line)) for line in lines)


def as_json(sections: Sequence[Section]) -> str:
    """Return the report as one JSON object."""
    document: dict[str, object] = {"schema": SCHEMA}
    for section in sections:
        document[section.name] = {name: _public(fact) for name, fact in section.facts.items()}
    document["problems"] = [
        {
            "part": problem.part,
            "what": without_home(problem.what),
            "is_broken": problem.is_broken,
        }
        for section in sections
        for problem in section.problems
    ]
    return json.dumps(document, indent=2)


def _public(fact: Fact) -> Fact:
    if isinstance(fact, list):
        return [without_home(one) for one in fact]
    return without_home(fact) if isinstance(fact, str) else fact


def _words(name: str) -> str:
    return name.replace("_", " ")


def _values(fact: Fact) -> list[str]:
    """Return a fact in words, one line for each entry of a list."""
    match fact:
        case list():
            return fact or ["none"]
        case None:
            return ["not known"]
        case bool():
            return ["yes" if fact else "no"]
        case float():
            return [f"{fact:.3g}"]
    return [str(fact)]
