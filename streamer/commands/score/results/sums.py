"""What the rows of a run say in sum, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamer.commands.score.results.rows import Row
from streamer.errors import SerLiveError
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.sound.channels import MIX
from streamer.version import version

_DIGEST_DIGITS = 12
#: In the column of the channel: all of them together.
_TOGETHER = str(MIX)


def identity_of_run(recognizer: Recognizer, adaptation: Adaptation) -> Row:
    """Return the model, prior, adaptation and program of rows; others cannot be compared."""
    return {
        "model": f"{recognizer.metadata.name} {recognizer.digest[:_DIGEST_DIGITS]}",
        "prior": recognizer.prior,
        "adaptation": adaptation.told(recognizer.metadata),
        "version": version(),
    }


class Sums:
    """Counts rows without keeping them.

    Attributes:
        identity: columns that every row shares.
        verdicts: verdict of each recording whose true label is known; None if it has none.
        errors: number of rows of this run with an error.
    """

    def __init__(
        self, identity: Row, output: Path | None, truth: Mapping[str, str], channels: str
    ) -> None:
        self.identity = identity
        self.verdicts: dict[str, str | None] = dict.fromkeys(truth)
        self.errors = 0
        self._first = ""
        self._left = 0
        self._first_left = ""
        self._output = output
        self._channels = channels

    def take(self, row: Row) -> None:
        """Take a row of this run."""
        self._take_verdict(row)
        if row["error"]:
            if not self.errors:
                reason = str(row["error"]).split(";")[0]
                self._first = f"{row['file']}: {reason}"
            self.errors += 1

    def take_recorded(self, row: Row) -> None:
        """Take a row that an earlier run wrote.

        Raises:
            SerLiveError: it is of another model, prior, adaptation or version, or of all channels
                together where this run takes them one by one, or the other way round.
        """
        identity = self.identity
        if any(row[column] != value for column, value in identity.items()):
            raise SerLiveError(
                f"{self._output} holds results of {row['model']} ({row['prior']} prior, adaptation "
                f"{row['adaptation'] or 'none'}, ser-live {row['version']}), this is "
                f"{identity['model']} ({identity['prior']}, {identity['adaptation'] or 'none'}, "
                f"{identity['version']}); name another file, or begin anew with --force"
            )
        if (row["channel"] == _TOGETHER) != (self._channels == _TOGETHER):
            theirs = "all channels together" if row["channel"] == _TOGETHER else "single channels"
            raise SerLiveError(
                f"{self._output} holds results of {theirs}, which do not mix with --channels "
                f"{self._channels}; name another file, or begin anew with --force"
            )
        self._take_verdict(row)
        if row["error"]:  # those of this run's recordings are made again
            self._first_left = self._first_left or str(row["file"])
            self._left += 1

    @property
    def left(self) -> str:
        """How many rows with an error stay because this run does not try their recordings.

        A file may gather the results of several commands, so only ``--force`` deletes rows.
        """
        if not self._left:
            return ""
        is_one = self._left == 1
        are = "row has an error and is" if is_one else "rows have an error and are"
        return (
            f"{self._output}: {self._left} {are} of no recording of this run (first "
            f"{self._first_left}), so the exit code does not count "
            f"{'it' if is_one else 'them'}; --force begins anew"
        )

    @property
    def faults(self) -> str:
        """How many rows have an error, and what the first says."""
        if not self.errors:
            return ""
        first = "" if self.errors == 1 else "first "
        return f"; {self.errors} with an error, which the column error tells: {first}{self._first}"

    def _take_verdict(self, row: Row) -> None:
        if row["file"] in self.verdicts and row["channel"] == self._channels:
            self.verdicts[row["file"]] = row["overall"]
