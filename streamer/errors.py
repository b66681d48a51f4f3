"""Errors for the user: one line that says what is wrong and what to do."""


class SerLiveError(Exception):
    """Wrong usage or unreadable input: something the user can cause or fix.

    Attributes:
        option: advice that only the command adds to the message: it names an option of the command
            line.
    """

    exit_code = 2

    def __init__(self, message: str = "", *, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class RunFailure(SerLiveError):
    """A failure at run time that is not the input's fault: disk full, output closed."""

    exit_code = 1


class ReaderGone(RunFailure):
    """The reader of the output has closed it, as ``head`` does: not worth reporting."""

    #: As a shell reports a program that SIGPIPE (13) ended, which is how most programs end then.
    exit_code = 128 + 13


def told(line: object, program: str = "ser-live") -> str:
    """Return a line as the program prints it, with its name before it."""
    option = line.option if isinstance(line, SerLiveError) else ""
    return f"{program}: {printable(line)}{f'; {option}' if option else ''}"


def printable(text: object) -> str:
    """Return the text as a line that cannot control the terminal: file names may hold anything."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(text)
    )
