"""Small generated trees in the official layouts of the corpora, of empty files; and backgrounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from streamer.signal import SAMPLE_RATE
from train.corpora.known import CORPORA, EMOTIONS

#: One line of an IEMOCAP evaluation file, and the raters' lines that follow it.
EVALUATION = (
    "[6.2901 - 8.2357]\t{utterance}\t{emotion}\t[2.5000, 2.5000, 2.5000]\n"
    "C-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
)


def make_tree(root: Path, names: list[str]) -> None:
    """Make empty files with these names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def make_dialog(root: Path, dialog: str, emotions: dict[str, str]) -> None:
    """Make an IEMOCAP dialog: its evaluation file, and an empty recording per utterance."""
    session = root / f"Session{dialog[4]}"
    evaluation = session / "dialog" / "EmoEvaluation" / f"{dialog}.txt"
    evaluation.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        EVALUATION.format(utterance=f"{dialog}_{last}", emotion=emotion)
        for last, emotion in emotions.items()
    ]
    header = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    evaluation.write_text(header + "".join(lines))
    wav = session / "sentences" / "wav" / dialog
    make_tree(wav, [f"{dialog}_{last}.wav" for last in emotions])


def make_corpus(corpora: Path, name: str) -> None:
    """Make an empty recording of every emotion by every speaker of a corpus."""
    speakers, root = CORPORA[name].speakers, corpora / name
    codes = list(EMOTIONS[name])
    if name == "iemocap":
        for speaker in speakers:
            session, gender = speaker[:5], speaker[5]
            numbered = {f"{gender}{i:03d}": code for i, code in enumerate(codes)}
            make_dialog(root, f"{session}F_impro0{1 + (gender == 'M')}", numbered)
        return
    pattern = {
        "cremad": "AudioWAV/{0}_DFA_{1}_XX.wav",
        "ravdess": "Actor_{0}/03-01-{1}-01-01-01-{0}.wav",
        "nemo": "samples/{0}_{1}_1.wav",
        "emodb": "wav/{0}a01{1}a.wav",
        "tess": "TESS Toronto emotional speech set data/{0}F_{1}/{0}F_back_{1}.wav",
    }[name]
    make_tree(root, [pattern.format(speaker, code) for speaker in speakers for code in codes])


def make_backgrounds(root: Path) -> None:
    """Make twelve recordings of noise, and the impulse response of a room."""
    generator = np.random.default_rng(0)
    for folder in ("House", "impulse_responses"):
        (root / folder).mkdir(parents=True)
    for number in range(12):
        noise = generator.normal(0, 0.1, 8_000)
        soundfile.write(root / "House" / f"hum{number}.wav", noise, SAMPLE_RATE)
    room = np.zeros(4_000)
    room[100], room[3_000] = 0.5, 0.1
    soundfile.write(root / "impulse_responses" / "room.wav", room, SAMPLE_RATE)
