"""What crosses the boundary to the person: one line that says what is wrong and what to do."""


class SerLiveError(Exception):
    """Wrong usage or unreadable input: something a person can cause or mend."""

    exit_code = 2


class RunFailure(SerLiveError):
    """A failure at run time that the input is not to blame for: disk full, output closed."""

    exit_code = 1


class ReaderGone(RunFailure):
    """Who read the output wants no more of it, as ``head`` does: nothing to tell a person."""


def told(line: object) -> str:
    """A line as the program tells it, ``ser-live:`` before it."""
    return f"ser-live: {printable(line)}"


def printable(text: object) -> str:
    """The text as one line that cannot command the terminal: names of files may hold anything."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text)
    )
