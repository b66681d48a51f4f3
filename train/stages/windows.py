"""``python -m train windows``: compare lengths of the rolling window.

A window that still holds the end of another emotion gives late and wrong answers; a short one sees
less of the current one. A trained network runs again with shorter windows; nothing is retrained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from model.network import Network
from streamer.errors import SerLiveError
from streamer.signal import TIMESTEP_S
from train.corpora.known import Utterance, read_corpus
from train.corpora.lineage import corpus_of, held_back
from train.fitting.run_folder import Folders, RunFolder, lineage_of, normalisation_of, normaliser_of
from train.fitting.scoring import Votes, verdicts, votes_of
from train.fitting.targets import one_hot
from train.fitting.validation import ValidationSet, alone, in_streams
from train.measuring.measures import score
from train.measuring.sessions import PAUSES_S

#: Window lengths to try, in seconds.
SECONDS = (1.0, 1.5, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class WindowTrial:
    """The results of a network with one window length.

    Attributes:
        seconds: length of the window.
        uars: UAR of the verdicts in %, by name of the set.
        changes: changes of the likeliest emotion within utterances, per minute of their speech, by
            name of the set.
    """

    seconds: float
    uars: dict[str, float]
    changes: dict[str, float]


def with_window(network: Network, timesteps: int) -> Network:
    """Return the network with a shorter rolling window, without the oldest positions."""
    other = Network(replace(network.config, window_timesteps=timesteps))
    weights = network.state_dict()
    if "attention.age" in weights:
        weights["attention.age"] = weights["attention.age"][-timesteps:]
    other.load_state_dict(weights)
    return other.eval()


def changes_a_minute(votes: Sequence[Votes]) -> float:
    """Count changes of the likeliest emotion between voting estimates, per minute."""
    changes = timesteps = 0
    for one in votes:
        answers = one.logits.argmax(dim=1)[one.weights > 0]
        changes += int((answers[1:] != answers[:-1]).sum())
        timesteps += len(answers)
    return changes / max(timesteps * TIMESTEP_S / 60.0, 1e-9)


def try_windows(
    network: Network, sets: Sequence[ValidationSet], lengths: Sequence[int]
) -> Iterator[WindowTrial]:
    """Run a network with one window length, in timesteps, after the other."""
    for one in lengths:
        shorter = with_window(network, one)
        votes = {each.name: votes_of(shorter, each.features, each.spans) for each in sets}
        yield WindowTrial(
            one * TIMESTEP_S,
            {each.name: score(verdicts(votes[each.name], 1.0), each.labels).uar for each in sets},
            {name: changes_a_minute(found) for name, found in votes.items()},
        )


def windows_of(folders: Folders) -> list[WindowTrial]:
    """Try windows on the validation speakers of a finished run.

    Raises:
        SerLiveError: there is no such run, its network's window has a fixed length, or the
            speakers are unknown.
    """
    network, result = RunFolder(folders.run).load()
    if not isinstance(network, Network) or network.config.attention == "timestep":
        raise SerLiveError(f"the network of {folders.run} has a window of one length")
    if normalisation_of(result) != "causal":
        raise SerLiveError(
            f"the run {folders.run} is normalised by whole utterances: it has no windows"
        )
    recipe = result["recipe"]
    lineage = lineage_of(result)
    utterances: list[Utterance] = []
    for name in recipe["corpora"]:
        found = read_corpus(name, folders.corpora, network.config.labels)
        if heard := corpus_of(lineage, name):
            utterances += held_back(heard, "validation", found).utterances
    if not utterances:
        raise SerLiveError(f"no validation speakers of {folders.run} in {folders.corpora}")
    normaliser = normaliser_of(result)
    labels = one_hot(utterances, network.config.labels).argmax(axis=1)
    sets = [alone(utterances, labels, normaliser, folders.cache)]
    for pause_s in reversed(PAUSES_S):
        joined = in_streams(utterances, labels, normaliser, folders.cache, pauses_s=(pause_s,))
        if joined is None:
            raise SerLiveError("nobody says who speaks in the recordings: none can be joined")
        sets.append(replace(joined, name=f"pauses of {pause_s:g} s"))
    longest = network.config.window_timesteps
    tried = sorted({min(round(one / TIMESTEP_S), longest) for one in SECONDS} | {longest})
    return list(try_windows(network, sets, tried))


def table_of(trials: Sequence[WindowTrial]) -> Table:
    """Format UAR and changes by window as a table."""
    table = Table(
        title="UAR % on validation speakers / changes of the likeliest emotion within utterances, "
        "a minute",
        title_justify="left",
    )
    table.add_column("window s")
    for name in trials[0].uars:
        table.add_column(name, justify="right")
    for trial in trials:
        cells = [f"{trial.uars[name]:.1f} / {trial.changes[name]:.0f}" for name in trial.uars]
        table.add_row(f"{trial.seconds:g}", *cells)
    return table


def run_windows(run: Path, corpora: Path, cache: Path) -> Table:
    """Run the command and return its table."""
    return table_of(windows_of(Folders(corpora, cache, run)))
