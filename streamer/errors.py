"""What crosses the boundary to the person: one line that says what is wrong and what to do."""


class SerLiveError(Exception):
    """Wrong usage or unreadable input: something a person can cause or mend."""

    exit_code = 2


class RunFailure(SerLiveError):
    """A failure at run time that the input is not to blame for: disk full, output closed."""

    exit_code = 1
