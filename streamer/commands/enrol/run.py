"""Runs ``ser-live enrol``: makes a profile from recordings of a voice or from a microphone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from math import floor
from pathlib import Path

import numpy as np

from streamer.commands.choices import channels_of, say
from streamer.commands.display import can_show_screen
from streamer.errors import RunFailure, SerLiveError
from streamer.modelfile.shipped import model_path
from streamer.recognition.enrolment import GOOD_SPEECH_S, Enrolment
from streamer.recognition.profile import check_place
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.sound.capture.devices import find_microphone
from streamer.sound.capture.microphone import Microphone
from streamer.sound.channels import MIX, Channels
from streamer.sound.files.recording import Recording
from streamer.sound.resampler import Resampler
from streamer.sound.source import Float32, Loss, Source

SUFFIX = ".profile"
#: The microphone is closed after so long, in case the user has forgotten it.
LONGEST_S = 180.0
#: Without a bar, a line is printed after so much more speech.
_LINE_S = 5.0
_FILE_BLOCK_MS, _MICROPHONE_BLOCK_MS = 1_000, 100


@dataclass(frozen=True, slots=True)
class EnrolPlan:
    """The source of a profile, and its file.

    Attributes:
        profile: file to write.
        recordings: recordings of the voice; if empty, the microphone is used.
        device: number or part of its name; None for the default.
        wanted: channels to use.
        force: whether an older profile may be overwritten.
    """

    profile: Path
    recordings: tuple[Path, ...] = ()
    device: str | None = None
    wanted: Channels = MIX
    force: bool = False

    def __post_init__(self) -> None:
        if self.profile.suffix.lower() != SUFFIX:
            raise SerLiveError(
                f"{self.profile}: the first name is the profile to write, as anna{SUFFIX}"
            )
        if self.recordings and self.device is not None:
            raise SerLiveError("--device is for a microphone: name it, or recordings")
        if self.wanted.is_split:
            raise SerLiveError("a profile is of one voice: --channels is mix or a number")

    def check(self, inputs: Iterable[Path]) -> None:
        """Check before any audio is recorded that nothing else is overwritten.

        Raises:
            SerLiveError: as in :func:`streamer.recognition.profile.check_place`.
        """
        check_place(self.profile, self.force, [*inputs, *self.recordings])


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Make the requested profile.

    Raises:
        SerLiveError: wrong usage, or as in :func:`enrol`.
        RunFailure, Interrupted: as in :func:`enrol`.
    """
    plan = EnrolPlan(
        options.profile,
        tuple(options.files),
        device=options.device,
        wanted=channels_of(options),
        force=options.force,
    )
    plan.check([model_path(options.model)])
    enrol(plan, Recognizer.load(options.model), interrupts)
    return 0


def enrol(plan: EnrolPlan, recognizer: Recognizer, interrupts: Interrupts) -> None:
    """Analyse the voice and write its profile, completely or not at all.

    Raises:
        SerLiveError: the model does not adapt to voices, a recording or the device is not
            available, there is too little speech, or something else is at the profile's path.
        RunFailure: the device is gone, or the profile cannot be written.
        Interrupted: a signal came; nothing was written.
    """
    enrolment = Enrolment(recognizer)
    try:
        with _Progress(tells=not plan.recordings) as progress:
            if plan.recordings:
                for path in plan.recordings:
                    _hear_recording(path, plan.wanted, enrolment, progress, interrupts)
            else:
                _hear_microphone(plan, enrolment, progress, interrupts)
        profile = enrolment.profile()
    except Interrupted:
        say("stopped: nothing was kept")
        raise
    profile.save(plan.profile, plan.force)
    speech_s = enrolment.speech_s
    if speech_s < GOOD_SPEECH_S:
        say(f"only {floor(speech_s)} s of speech were heard: {GOOD_SPEECH_S:g} s are better")
    known = f"knows this voice from {floor(speech_s)} s of speech"
    say(f"{plan.profile} {known}; --profile takes it")


def _hear_recording(
    path: Path,
    wanted: Channels,
    enrolment: Enrolment,
    progress: _Progress,
    interrupts: Interrupts,
) -> None:
    with Recording(path, wanted, say) as recording:
        _hear(recording, _FILE_BLOCK_MS, enrolment, progress, interrupts)


def _hear_microphone(
    plan: EnrolPlan, enrolment: Enrolment, progress: _Progress, interrupts: Interrupts
) -> None:
    try:
        device = find_microphone(plan.device)
    except RunFailure as error:
        recordings = f"ser-live enrol {plan.profile} FILE... takes recordings of the voice"
        raise RunFailure(str(error), option=recordings) from error
    microphone = Microphone(
        device,
        say,
        duration_s=LONGEST_S,
        reconnects=False,
        wanted=plan.wanted,
        signals=interrupts,
    )
    with microphone:
        say(
            f"{microphone.name} listens until {GOOD_SPEECH_S:g} s of speech were heard, for "
            f"{LONGEST_S:g} s at most: talk as you usually do; Ctrl-C stops and keeps nothing"
        )
        _hear(microphone, _MICROPHONE_BLOCK_MS, enrolment, progress, interrupts, GOOD_SPEECH_S)


def _hear(
    source: Source,
    block_ms: int,
    enrolment: Enrolment,
    progress: _Progress,
    interrupts: Interrupts,
    enough_s: float = float("inf"),
) -> None:
    """Process a source to its end, or until there is so much speech; say how much was lost."""
    resampler = Resampler(source.sample_rate)
    losses: list[Loss] = []
    for block in interrupts.each(source.blocks(block_ms)):
        if isinstance(block, Loss):
            losses.append(block)
            heard: Float32 = np.zeros(block.filled, np.float32)
        elif isinstance(block, np.ndarray):
            heard = block
        else:
            continue
        enrolment.accept(resampler.accept(heard))
        progress.show(enrolment.speech_s)
        if enrolment.speech_s >= enough_s:
            break
    enrolment.accept(resampler.flush())
    enrolment.end_recording()
    if losses:
        lost_s = sum(one.samples for one in losses) / source.sample_rate
        reasons = ", ".join(dict.fromkeys(one.reason for one in losses))
        say(f"{lost_s:.1f} s of {source.name} were lost ({reasons})")


class _Progress:
    """Shows how much speech was heard: a bar on a terminal, lines for the speaker elsewhere."""

    def __init__(self, *, tells: bool) -> None:
        self._tells = tells
        self._stack = ExitStack()
        self._next_s = _LINE_S

    def __enter__(self) -> _Progress:
        self._bar = None
        if can_show_screen(sys.stderr):
            # Only a bar needs rich, which is slow to import.
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = self._stack.enter_context(
                Progress(
                    BarColumn(),
                    TextColumn("{task.description}"),
                    console=Console(stderr=True),
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
            )
            self._task = self._bar.add_task(self._text(0.0), total=GOOD_SPEECH_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self, speech_s: float) -> None:
        """Show that so much speech was heard so far."""
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=min(speech_s, GOOD_SPEECH_S),
                description=self._text(speech_s),
            )
        elif self._tells and self._next_s <= speech_s < GOOD_SPEECH_S:
            self._next_s += _LINE_S
            say(self._text(speech_s))

    @staticmethod
    def _text(speech_s: float) -> str:
        return f"{floor(speech_s)} s of speech; {GOOD_SPEECH_S:g} s are enough"
