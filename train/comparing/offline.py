"""The network of a finished run, judged offline: whole recordings in one pass, no runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from train.comparing.results_file import confusions_by_speaker
from train.corpora.known import Utterance
from train.features.data import Features, features_of, prepare
from train.fitting.run_folder import Folders, RunFolder, normalisation_of, normaliser_of
from train.fitting.scoring import verdicts, votes_of
from train.fitting.validation import in_streams
from train.measuring.measures import answers
from train.measuring.sessions import LONG_PAUSE_S

Int64 = NDArray[np.int64]


class OfflineNetwork:
    """The network of a finished run.

    This includes systems that cannot stream; shipped models are measured through the runtime.
    """

    def __init__(self, folders: Folders) -> None:
        """Load it.

        Raises:
            SerLiveError: there is no finished run in the folder.
        """
        self._network, self._result = RunFolder(folders.run).load()
        self._normaliser = normaliser_of(self._result)
        self._cache = folders.cache

    def answers(self, utterances: Sequence[Utterance]) -> Int64:
        """Return the verdict on each utterance alone, an index of the labels."""
        examples = prepare(utterances, self._cache)
        features = features_of(examples, self._normaliser, normalisation_of(self._result))
        return self._answers(features)

    def confusions_in_streams(self, utterances: Sequence[Utterance]) -> dict[str, Int64]:
        """Count confusions by speaker in running streams with long pauses, see ``sessions.py``.

        A network that hears everything also hears the rest of the stream.
        """
        known = self._network.config.labels
        labels = np.array([known.index(one.label) for one in utterances], np.int64)
        joined = in_streams(
            utterances, labels, self._normaliser, self._cache, pauses_s=(LONG_PAUSE_S,)
        )
        assert joined is not None  # the known corpora name their speakers
        answered = self._answers(joined.features, joined.spans)
        return confusions_by_speaker(answered, joined.labels, joined.speakers, len(known))

    def _answers(self, features: Features, spans: Int64 | None = None) -> Int64:
        votes = votes_of(self._network, features, spans)
        return answers(verdicts(votes, self._result["temperature"]))
