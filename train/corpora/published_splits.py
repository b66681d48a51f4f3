"""Published splits with fixed speakers, whether or not all are present."""

from __future__ import annotations

from collections.abc import Iterable

#: Validation speakers and test speakers; all others are for training.
HeldOut = tuple[frozenset[str], frozenset[str]]

#: Every fifth of 80 actors, sorted, from the first and from the second. The names are fixed: on the
#: full corpus of 91 actors none moves, and the other eleven are for training.
# fmt: off
CREMAD_TEST = frozenset({
    "1001", "1008", "1013", "1018", "1023", "1028", "1033", "1039",
    "1044", "1050", "1056", "1061", "1067", "1073", "1078", "1087",
})
CREMAD_VALIDATION = frozenset({
    "1002", "1009", "1014", "1019", "1024", "1029", "1035", "1040",
    "1046", "1051", "1057", "1062", "1068", "1074", "1079", "1088",
})
# fmt: on

#: Test and validation actors of the ResLSTM-SER study.
_RAVDESS_FIVE = (
    ((2, 5, 14, 15, 16), (3, 6)),
    ((3, 6, 7, 13, 18), (10, 11)),
    ((10, 11, 12, 19, 20), (8, 17)),
    ((8, 17, 21, 23, 24), (1, 14)),
    ((1, 4, 9, 22), (2, 5)),
)

#: Test actors of EmoBox, which names no validation actors.
_EMOBOX_SIX = (
    (1, 11, 20, 21),
    (4, 10, 12, 14),
    (8, 9, 19, 23),
    (3, 5, 7, 24),
    (2, 15, 16, 18),
    (6, 13, 17, 22),
)


def _actors(numbers: Iterable[int]) -> frozenset[str]:
    return frozenset(f"{number:02d}" for number in numbers)


def _emobox(fold: int) -> HeldOut:
    """Validate on the first man and the first woman of the folds that follow, cyclically.

    Odd actors are men. A fold may hold only women, so one fold is not enough; a man and a woman
    leave 18 actors for training.
    """
    following = [actor for test in _EMOBOX_SIX[fold + 1 :] + _EMOBOX_SIX[:fold] for actor in test]
    man = next(actor for actor in following if actor % 2)
    woman = next(actor for actor in following if not actor % 2)
    return _actors((man, woman)), _actors(_EMOBOX_SIX[fold])


def _sessions(tested: int) -> HeldOut:
    """Test on one session of IEMOCAP, 1 to 5, and validate on all of the next one, cyclically.

    One speaker would not do: the two of a session share room, scenes and microphones, each is
    audible in the other's recordings, and one gender alone chooses badly. The price is training on
    six speakers; studies that choose the epoch on the test session train on eight.
    """

    def speakers(session: int) -> frozenset[str]:
        return frozenset(f"Ses0{session}{gender}" for gender in "FM")

    return speakers(tested % 5 + 1), speakers(tested)


#: Splits by corpus and name.
AGREED: dict[str, dict[str, HeldOut]] = {
    "cremad": {"fixed": (CREMAD_VALIDATION, CREMAD_TEST)},
    "ravdess": {
        "fixed": (_actors(_RAVDESS_FIVE[0][1]), _actors(_RAVDESS_FIVE[0][0])),
        **{
            f"ravdess-5/{fold}": (_actors(validation), _actors(test))
            for fold, (test, validation) in enumerate(_RAVDESS_FIVE, 1)
        },
        **{f"emobox-6/{fold + 1}": _emobox(fold) for fold in range(len(_EMOBOX_SIX))},
    },
    # Most studies that test on one session test on session 5.
    "iemocap": {
        "fixed": _sessions(5),
        **{f"iemocap-sessions/{session}": _sessions(session) for session in range(1, 6)},
    },
}
