"""Speech-emotion corpora, and the user's own recordings, as labelled utterances.

A corpus is read in its official layout from a folder of its name, with any suffix that soundfile
reads. The table :data:`EMOTIONS` maps the corpora's classes to our labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamer.errors import SerLiveError
from train.corpora.layouts import EvaluatedDialogs, NamedFiles
from train.corpora.own_recordings import is_own, own_clips

#: Label of speech without emotion.
NEUTRAL = "neutral"

#: Each corpus's emotion codes -> our labels. Other classes are not read: IEMOCAP's ``xxx`` (raters
#: disagree) and ``oth``. Its excited counts as happy, as in the paper.
# fmt: off
EMOTIONS: dict[str, dict[str, str]] = {
    "iemocap": {
        "ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad",
        "dis": "disgust", "fea": "fear", "sur": "surprise", "fru": "frustrated",
    },
    "cremad": {
        "ANG": "angry", "HAP": "happy", "NEU": "neutral", "SAD": "sad",
        "DIS": "disgust", "FEA": "fear",
    },
    "ravdess": {
        "05": "angry", "03": "happy", "01": "neutral", "04": "sad",
        "07": "disgust", "06": "fear", "08": "surprise", "02": "calm",
    },
    "nemo": {
        "anger": "angry", "happiness": "happy", "neutral": "neutral", "sadness": "sad",
        "fear": "fear", "surprised": "surprise",
    },
    "emodb": {
        "W": "angry", "F": "happy", "N": "neutral", "T": "sad",
        "E": "disgust", "A": "fear", "L": "bored",
    },
    "tess": {
        "angry": "angry", "happy": "happy", "neutral": "neutral", "sad": "sad",
        "disgust": "disgust", "fear": "fear", "ps": "surprise",
    },
}
# fmt: on


@dataclass(frozen=True)
class Corpus:
    """The known facts of a corpus.

    Attributes:
        title: its authors' name for it.
        licence: licence of the recordings; for weights trained on them see the model card.
        source: where to get it.
        layout: layout of its files.
        speakers: all speakers, in order.
        recordings: number of recordings by our label.
        unusable: recordings that are skipped -> reason.
    """

    title: str
    licence: str
    source: str
    layout: NamedFiles | EvaluatedDialogs
    speakers: tuple[str, ...]
    recordings: Mapping[str, int]
    unusable: Mapping[str, str] = field(default_factory=dict)


def _numbers(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"{number:02d}" for number in range(first, last + 1))


# fmt: off
CORPORA: dict[str, Corpus] = {
    "iemocap": Corpus(
        "IEMOCAP", "IEMOCAP release form (research)",
        "https://sail.usc.edu/iemocap/iemocap_release.htm",
        EvaluatedDialogs(),
        tuple(f"Ses0{session}{gender}" for session in range(1, 6) for gender in "FM"),
        {"angry": 1103, "happy": 1636, "neutral": 1708, "sad": 1084,
         "disgust": 2, "fear": 40, "surprise": 107, "frustrated": 1849},
    ),
    "cremad": Corpus(
        "CREMA-D", "ODbL-1.0", "https://github.com/CheyneyComputerScience/CREMA-D",
        NamedFiles(
            "AudioWAV",
            # One official name ends in a single X.
            r"(?P<speaker>\d{4})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)",
            "1001_DFA_ANG_XX",
        ),
        _numbers(1001, 1091),
        {"angry": 1271, "happy": 1271, "neutral": 1087, "sad": 1271, "disgust": 1271, "fear": 1271},
        {"1076_MTI_SAD_XX": "silent in the original"},
    ),
    "ravdess": Corpus(
        "RAVDESS, speech", "CC-BY-NC-SA-4.0", "https://zenodo.org/records/1188976",
        NamedFiles(
            "",
            r"03-01-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]-(?P<speaker>\d\d)",
            "03-01-05-01-01-01-24",
            passed_over=r"(0[12]-0[12]|03-02)(-\d\d){5}",  # sound of the videos; song
        ),
        _numbers(1, 24),
        {"angry": 192, "happy": 192, "neutral": 96, "sad": 192,
         "disgust": 192, "fear": 192, "surprise": 192, "calm": 192},
    ),
    "nemo": Corpus(
        "nEMO", "CC-BY-NC-SA-4.0", "https://github.com/amu-cai/nEMO",
        NamedFiles(
            "samples",
            r"(?P<speaker>[A-Z]{2}\d)_"
            r"(?P<emotion>anger|fear|happiness|neutral|sadness|surprised)_\d+",
            "WR0_happiness_84",
        ),
        ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0"),
        {"angry": 749, "happy": 749, "neutral": 809, "sad": 769, "fear": 736, "surprise": 669},
    ),
    "emodb": Corpus(
        "EmoDB", "CC0-1.0", "http://emodb.bilderbar.info/download/",
        NamedFiles("wav", r"(?P<speaker>\d\d)[ab]\d\d(?P<emotion>[WLEAFTN])[a-z]?", "03a01Fa"),
        ("03", *_numbers(8, 16)),
        {"angry": 127, "happy": 71, "neutral": 79, "sad": 62,
         "disgust": 46, "fear": 69, "bored": 81},
    ),
    "tess": Corpus(
        "TESS", "CC-BY-NC-ND-4.0", "https://doi.org/10.5683/SP2/E8H2MF",
        NamedFiles(
            "",
            # The older and the younger actress; one official name lacks the F for female.
            r"(?P<speaker>OA|YA)F?_[a-z]+_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)",
            "OAF_back_angry",
        ),
        ("OA", "YA"),
        dict.fromkeys(("angry", "happy", "neutral", "sad", "disgust", "fear", "surprise"), 400),
    ),
}
# fmt: on

#: Licence of each corpus, and where to get it.
SOURCES: dict[str, tuple[str, str]] = {
    name: (corpus.licence, corpus.source) for name, corpus in CORPORA.items()
}


def title_of(name: str) -> str:
    """Return a corpus's title for model files; own recordings appear without their folder."""
    return Path(name).name


def licence_of(name: str) -> str:
    """Return a corpus's licence; only the owner knows that of own recordings."""
    return SOURCES[name][0] if name in SOURCES else "the owner's"


def at_hand(corpora: Path) -> list[str]:
    """Return the known corpora that have a folder in ``corpora``.

    Raises:
        SerLiveError: there are none.
    """
    found = [name for name in CORPORA if (corpora / name).is_dir()]
    if not found:
        raise SerLiveError(
            f"no corpus in {corpora}: unpack one to a folder of its name there, of "
            + ", ".join(f"{name} ({source})" for name, (_, source) in SOURCES.items())
        )
    return found


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled recording.

    Attributes:
        path: audio file.
        label: emotion, in our names.
        speaker: unique within the corpus; :data:`~train.corpora.own_recordings.UNKNOWN` if it is
            not given.
        corpus: key of :data:`CORPORA`, or the path of own recordings as in the recipe.
        session: recording session, "" if the corpus has none.
    """

    path: Path
    label: str
    speaker: str
    corpus: str
    session: str = ""

    @property
    def licence(self) -> str:
        """Licence of the corpus."""
        return licence_of(self.corpus)


def read_corpus(name: str, corpora: Path, labels: Iterable[str] | None = None) -> list[Utterance]:
    """Read the utterances of a corpus that have one of the labels.

    Args:
        name: name of the corpus, in the folder ``corpora / name``; or the path of own recordings:
            a folder with ``LABEL/x.wav`` or ``LABEL/SPEAKER/x.wav``, or a .csv with the columns
            file, label and optionally speaker.
        corpora: folder of the corpora.
        labels: labels to read; None for all.

    Raises:
        SerLiveError: the name is unknown, files do not fit the layout, or nothing is found.
    """
    if name not in CORPORA and not is_own(name):
        raise SerLiveError(
            f"unknown corpus {name!r}: known are {', '.join(CORPORA)}; "
            "own recordings are named by the path of their folder or .csv"
        )
    utterances = _own(name) if name not in CORPORA else _official(name, corpora / name)
    if labels is None:
        return utterances
    wanted = tuple(labels)
    found = [one for one in utterances if one.label in wanted]
    if not found:
        there = ", ".join(sorted({one.label for one in utterances}))
        raise SerLiveError(f"{name}: no recording is {' or '.join(wanted)}; its labels are {there}")
    return found


def _official(name: str, root: Path) -> list[Utterance]:
    corpus = CORPORA[name]
    found = [
        Utterance(clip.path, EMOTIONS[name][clip.emotion], clip.speaker, name, clip.session)
        for clip in corpus.layout.clips(root)
        if clip.emotion in EMOTIONS[name] and clip.path.stem not in corpus.unusable
    ]
    if not found:
        raise SerLiveError(
            f"no {corpus.title} recordings in {root}, such as {corpus.layout.expected}: "
            f"get the corpus at {corpus.source}"
        )
    return found


def _own(name: str) -> list[Utterance]:
    found = [
        Utterance(clip.path, clip.emotion, clip.speaker, name, clip.session)
        for clip in own_clips(name)
    ]
    if not found:
        raise SerLiveError(f"{name}: no recordings")
    return found
