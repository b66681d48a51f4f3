"""What ``ser-live score`` is asked to do."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from streamer.commands.score import WORKERS
from streamer.commands.score.finding.places import Url, is_pattern, place_of
from streamer.commands.score.finding.remote import check_remote
from streamer.commands.score.results.opening import check_parquet, check_suffix
from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import check_apart
from streamer.recognition.prior import BALANCED, Prior
from streamer.sound.channels import MIX, Channels

#: Dask's own protocols between processes.
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx)://(\[[^\[\]/\s]+\]|[^\[\]:/\s]+):([0-9]{1,5})(/\S*)?")
_PORTS = range(1, 65_536)
_BUCKETS = ("s3", "s3a", "gs", "gcs")


@dataclass(frozen=True)
class ScorePlan:
    """Recordings to score, and where the results go.

    Attributes:
        paths: recordings, folders with recordings, patterns and URLs.
        output: CSV, JSON lines or Parquet by its suffix; None is CSV on stdout.
        timeline: folder for a timeline per recording; None for none.
        workers: number of processes; None for one per core.
        scheduler: address of a Dask scheduler whose workers hear the recordings; None for
            processes on this machine.
        labels: table of the true labels; None if unknown.
        model: model, as in ``--model``.
        prior: the assumed frequency of each label.
        profile: profile of the voice in all recordings; None if unknown.
        adapts: whether a stream learns its voice further as it hears it.
        force: whether to overwrite results and timelines.
        wanted: channels to use.
        names_passed_over: whether to name the skipped files instead of counting them.
        is_dataset: whether the output is a folder of Parquet files.
        origin: returns what to add to a line about an option that a configuration file sets.
    """

    paths: tuple[Path | str, ...]
    output: Path | None = None
    timeline: Path | None = None
    workers: int | None = None
    scheduler: str | None = None
    labels: Path | None = None
    model: Path | None = None
    prior: Prior = BALANCED
    profile: Path | None = None
    adapts: bool = True
    force: bool = False
    wanted: Channels = MIX
    names_passed_over: bool = False
    is_dataset: bool = False
    origin: Callable[[str], str] = lambda _: ""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers not in WORKERS:
            raise SerLiveError(f"--workers must lie in {WORKERS[0]}..{WORKERS[-1]}")
        if self.scheduler is not None:
            self._check_cluster(self.scheduler)
        for place in map(place_of, self.texts):
            if isinstance(place, Url):
                _check_bucket(place)
        if self.output is not None:
            check_suffix(self.output, self.is_dataset)
            if self.timeline is not None:
                check_apart(self.output, self.timeline)
                self._check_within(self.output, self.timeline)
        if self.labels is not None and self.wanted.is_split:
            raise SerLiveError("--labels are of recordings, not of channels: no --channels split")
        if sys.stdout is None and (self.output is None or self.labels is not None):
            raise SerLiveError("standard output is closed")

    def check_extras(self) -> None:
        """Check that the extras are installed that this plan needs.

        Raises:
            RunFailure: one is not installed.
        """
        if self.scheduler is not None and find_spec("distributed") is None:
            raise RunFailure("--scheduler needs Dask: pip install 'ser-live[cluster]'")
        if any(isinstance(place, Url) for place in map(place_of, self.texts)):
            check_remote()
        if self.output is not None:
            check_parquet(self.output, self.is_dataset)

    @property
    def texts(self) -> tuple[str, ...]:
        """The places as texts."""
        return tuple(map(str, self.paths))

    @property
    def unit(self) -> str:
        """What has a row of its own."""
        return "channel" if self.wanted.is_split else "recording"

    def _check_within(self, output: Path, timeline: Path) -> None:
        within = Path(os.path.realpath(timeline))
        if self.is_dataset and within.is_relative_to(os.path.realpath(output)):
            raise SerLiveError(f"{timeline} lies in {output}, which is for results; name another")

    def _check_cluster(self, address: str) -> None:
        match = _ADDRESS.fullmatch(address)
        if match is None or int(match[3]) not in _PORTS:
            raise SerLiveError(f"--scheduler is an address as tcp://HOST:8786, not {address!r}")
        if self.workers is not None:
            raise SerLiveError("--workers are processes here; with --scheduler its workers count")
        if self.timeline is not None:
            raise SerLiveError("--timeline is written on one machine: leave out --scheduler")
        if self.wanted.is_split:
            raise SerLiveError(
                "--channels split is for one machine; with --scheduler name a channel, "
                "as --channels 1"
            )


def _check_bucket(url: Url) -> None:
    """Check that the parts of a URL name the bucket that they need."""
    for part in url.split("::"):
        scheme, _, rest = part.partition("://")
        bucket = rest.partition("/")[0]
        if scheme in _BUCKETS and (not bucket or is_pattern(bucket)):
            raise SerLiveError(f"{url} names no bucket; a URL is as {scheme}://BUCKET/PREFIX")
