"""Evaluations as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from streamer.counting import counted
from streamer.recognition.metadata import ModelMetadata
from train.judging.evaluate import LEAST_OVER_CHANCE, Evaluation
from train.judging.facts import Report
from train.judging.priors import MOST_CALLED, PriorTrial, choose
from train.judging.tune import TriedSetting
from train.measuring.false_alarms import Acted, Alarms, Ordinary
from train.measuring.held import Held
from train.measuring.knowing import ELSEWHERE_SENTENCES, Known
from train.measuring.measures import Result
from train.measuring.sessions import LONG_PAUSE_S, Running
from train.measuring.streams import Following


def tables_of(one: Evaluation, metadata: ModelMetadata) -> RenderableType:
    """Format the tables of one corpus, the running stream first."""
    parts: list[RenderableType] = [_headline(one, metadata)]
    if one.running is not None:
        parts += [_running(one, one.running, metadata), *_places(one.running)]
    if one.held:
        parts.append(_held(one.held))
    if one.acted is not None:
        parts.append(_acted(one.acted))
    parts += [one.whole.scores.table(metadata.labels), _early(one, metadata)]
    if one.conditions:
        parts.append(_conditions(one))
    if one.following is not None:
        parts.append(_following(one.following))
    if one.known is not None:
        parts += _known(one.known)
    return Group(*parts, "")


def _headline(one: Evaluation, metadata: ModelMetadata) -> str:
    scores = one.whole.scores
    trained = f"trained on other {one.held_by}" if one.is_trained_on else "never trained on"
    lines = [
        f"{one.corpus} ({trained}): {counted(scores.confusion.sum(), 'recording')} of "
        f"{counted(one.speakers, 'speaker')}; {scores.without_verdict} without speech are errors"
    ]
    if one.running is not None:
        running = one.running.headline.voted
        lines.append(
            f"in a running stream, pauses of {LONG_PAUSE_S:g} s: UAR {running.scores.uar:.1f} % "
            f"({_interval(running)}, 95 % over speakers)"
        )
    lines += [
        f"alone, each in a stream of its own: UAR {scores.uar:.1f} % "
        f"({_interval(one.whole)}, 95 % over speakers), "
        f"WA {scores.wa:.1f} %, macro F1 {scores.macro_f1:.1f} %",
        f"expected calibration error, alone: {one.untempered_error:.3f} at temperature 1, "
        f"{scores.calibration_error:.3f} at the model's {metadata.temperature:g}",
    ]
    return "\n".join(lines)


def _running(one: Evaluation, running: Running, metadata: ModelMetadata) -> Table:
    table = Table(
        title=f"the same recordings in running streams ({running.sessions} of one speaker each, "
        f"{running.minutes:.0f} min): UAR and recall in %, by the runtime's verdict; expected "
        "calibration error; recordings without a verdict; UAR by the plain mean of the estimates",
        title_justify="left",
    )
    table.add_column("")
    columns = ("UAR", "95 %", *metadata.labels, "error", "without", "plain")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    rows = {f"pauses {pause_s:g} s": own for pause_s, own in running.by_pause.items()}
    for name, figures in {**rows, "alone": one.alone}.items():
        scores = figures.voted.scores
        table.add_row(
            name,
            f"{scores.uar:.1f}",
            _interval(figures.voted),
            *(_share(recall) for recall in scores.recall),
            f"{scores.calibration_error:.3f}",
            str(scores.without_verdict),
            f"{figures.plain.scores.uar:.1f}",
        )
    return table


def _places(running: Running) -> tuple[Table, Table]:
    by_place = _uar_table(f"by place in a stream with pauses of {LONG_PAUSE_S:g} s", "utterance")
    for name, result in running.by_place.items():
        by_place.add_row(name, *_counted(result))
    by_lead = _uar_table("the first utterance, by what lies before it", "silence or noise")
    for lead_s, result in running.by_lead.items():
        by_lead.add_row(f"{lead_s:g} s", *_counted(result))
    return by_place, by_lead


def _uar_table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in ("recordings", "UAR %", "95 %"):
        table.add_column(column, justify="right")
    return table


def _counted(result: Result) -> tuple[str, ...]:
    return (
        str(result.scores.confusion.sum()),
        f"{result.scores.uar:.1f}",
        _interval(result),
    )


def _held(held: dict[str, Held]) -> Table:
    table = Table(
        title="one emotion held for 60 s: share of the speech that is shown as it, and for which "
        "it is the likeliest, in % of the first 3 s and from 6 s on",
        title_justify="left",
    )
    table.add_column("emotion")
    for column in ("shown first", "later", "ratio", "likeliest first", "later", "ratio"):
        table.add_column(column, justify="right")
    for emotion, one in held.items():
        table.add_row(
            emotion,
            _share(one.labelled_early),
            _share(one.labelled_late),
            _ratio(one.labelled_ratio),
            _share(one.likeliest_early),
            _share(one.likeliest_late),
            _ratio(one.likeliest_ratio),
        )
    return table


def _acted(acted: Acted) -> str:
    names = " and ".join((", ".join(acted.emotions[:-1]), acted.emotions[-1]))
    return (
        f"with the everyday prior, pauses of {LONG_PAUSE_S:g} s: of acted speech that is {names} "
        f"{acted.mean_shown:.1f} % is shown as it is, and {acted.mean_recall:.1f} % of the "
        f"recordings get that verdict (means of the emotions); "
        f"UAR {acted.figures.voted.scores.uar:.1f} %"
    )


def ordinary_of(ordinary: Ordinary) -> RenderableType:
    """Format the results on ordinary speech."""
    balanced = ordinary.balanced
    called = "an emotion but neutral"
    heads = [
        f"ordinary speech ({counted(balanced.recordings, 'recording')}, "
        f"{balanced.speech_minutes:.1f} min of speech that nobody acted):"
    ]
    rows = {"balanced": balanced}
    if ordinary.everyday is None:
        heads.append("the model has no everyday prior")
    else:
        rows["everyday"] = ordinary.everyday
    for prior, alarms in reversed(rows.items()):
        heads.append(
            f"{alarms.called:.1f} % is called {called} with the prior {prior}, "
            f"{alarms.alarms_a_minute:.1f} false alarms a minute of speech"
        )
    return Group("\n".join(heads), _alarms(rows), "")


def _alarms(rows: dict[str, Alarms]) -> Table:
    table = Table(
        title="ordinary speech: what is shown, in % of the speech past the warm-up; any emotion "
        "but neutral; false alarms a minute; verdicts that are an emotion, in %",
        title_justify="left",
    )
    table.add_column("prior")
    for column in (*next(iter(rows.values())).shares, "any", "alarms", "verdicts"):
        table.add_column(column, justify="right", no_wrap=True)
    for prior, alarms in rows.items():
        table.add_row(
            prior,
            *(_share(share) for share in alarms.shares.values()),
            _share(alarms.called),
            _share(alarms.alarms_a_minute),
            _share(alarms.verdicts_called),
        )
    return table


def _share(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _early(one: Evaluation, metadata: ModelMetadata) -> Table:
    table = Table(
        title=f"alone, early (estimates wait {metadata.look_ahead_ms:g} ms for look-ahead)",
        title_justify="left",
    )
    table.add_column("heard")
    for column in ("UAR %", "95 %", "WA %", "no verdict", "lost"):
        table.add_column(column, justify="right")
    for seconds, result in one.heard.items():
        lost = one.whole.scores.uar - result.scores.uar
        name = f"{seconds:g} s after first speech ({one.lasted[seconds]:.0f} % last so long)"
        table.add_row(name, *_cells(result), _points(lost))
    table.add_row("whole", *_cells(one.whole), "")
    return table


def _conditions(one: Evaluation) -> Table:
    table = Table(
        title=f"in other conditions, alone and in running streams with pauses of {LONG_PAUSE_S:g} "
        "s: UAR in %, recordings without a verdict, and points lost",
        title_justify="left",
    )
    table.add_column("condition")
    for column in ("alone", "no verdict", "lost", "in streams", "no verdict", "lost"):
        table.add_column(column, justify="right", no_wrap=True)

    as_it_is = None if one.running is None else one.running.headline.voted
    table.add_row("as it is", *_found(one.whole), "", *_found(as_it_is), "")
    for condition, found in one.conditions.items():
        table.add_row(
            condition.described,
            *_found(found.alone),
            _points(one.lost(condition)),
            *_found(found.running),
            _points(one.lost_running(condition)),
        )
    return table


def _points(value: float) -> str:
    """Format a difference in points, without a minus before zero."""
    return f"{value:.1f}".replace("-0.0", "0.0") if math.isfinite(value) else "-"


def _found(result: Result | None) -> tuple[str, str]:
    """Format UAR and the number of recordings without a verdict."""
    if result is None:
        return "-", "-"
    return f"{result.scores.uar:.1f}", str(result.scores.without_verdict)


def _interval(result: Result) -> str:
    """Format the interval; with one speaker there is none."""
    low, high = result.interval
    return "-" if math.isnan(low) else f"{low:.1f} to {high:.1f}"


def _cells(result: Result) -> tuple[str, ...]:
    scores = result.scores
    return (
        f"{scores.uar:.1f}",
        _interval(result),
        f"{scores.wa:.1f}",
        str(scores.without_verdict),
    )


def trials_of(trials: Sequence[TriedSetting]) -> Table:
    """Format settings of the decision layer and their results."""
    table = Table(title="decision settings on validation streams", title_justify="left")
    for column in ("", "smoothing s", "margin", "wait s", "delay s", "never %"):
        table.add_column(column, justify="right")
    for column in ("changes/min", "false/min", "cost s"):
        table.add_column(column, justify="right")
    for rank, trial in enumerate(trials):
        one = trial.following
        table.add_row(
            str(rank) if rank else "as it is",
            f"{trial.config.smoothing_s:g}",
            f"{trial.config.switch_margin:g}",
            f"{one.mean_wait_s:.2f}",
            f"{one.median_delay_s:.2f}",
            f"{one.never_detected:.0f}",
            f"{one.label_changes / one.minutes:.1f}",
            f"{one.false_changes / one.minutes:.1f}",
            f"{trial.cost_s:.3f}",
        )
    return table


def priors_of(trials: Sequence[PriorTrial]) -> RenderableType:
    """Format everyday priors and their results."""
    chosen = choose(trials)
    table = Table(
        title="everyday priors: ordinary speech called an emotion, in %, and false alarms a "
        "minute, against acted emotions in a stream (pauses of "
        f"{LONG_PAUSE_S:g} s): speech shown as it is and verdicts that are right, in %",
        title_justify="left",
    )
    for column in ("", "neutral", "uncertain", "called", "alarms", "shown", "verdicts", "UAR"):
        table.add_column(column, justify="right", no_wrap=True)
    for trial in (one for one in trials if one.config == chosen.config):
        table.add_row(
            "chosen" if trial is chosen else "",
            f"{trial.neutral:g}",
            f"{trial.config.uncertain_below:g}",
            f"{trial.alarms.called:.1f}",
            f"{trial.alarms.alarms_a_minute:.1f}",
            f"{trial.acted.mean_shown:.1f}",
            f"{trial.acted.mean_recall:.1f}",
            f"{trial.acted.figures.voted.scores.uar:.1f}",
        )
    if chosen.is_quiet:
        return table
    return Group(table, f"none calls {MOST_CALLED:g} % of ordinary speech or less an emotion")


def _following(one: Following) -> str:
    return (
        f"{counted(len(one.delays_s), 'change')} of emotion in {one.minutes:.1f} min of joined "
        f"utterances: label follows after {one.median_delay_s:.2f} s (median, look-ahead "
        f"included), never in {one.never_detected:.0f} %\n"
        f"label changes {one.label_changes / one.minutes:.1f} times a minute, "
        f"{one.false_changes / one.minutes:.1f} of them to a wrong emotion"
    )


def _known(one: Known) -> tuple[Table, Table]:
    profiles = _uar_table(
        "alone, by sentences of ordinary speech in the profile of the voice"
        + (f" (some have {one.fewest} at most)" if one.fewest < max(one.by_sentences) else ""),
        "sentences",
    )
    for sentences, result in one.by_sentences.items():
        profiles.add_row(str(sentences), *_counted(result))
    for off_db, result in one.elsewhere.items():
        off = f"{ELSEWHERE_SENTENCES}, {off_db:g} dB louder or softer"
        profiles.add_row(off, *_counted(result))
    learnt = _uar_table(
        "without a profile, in one stream of each speaker, by the speech before the recording",
        "after",
    )
    for seconds, pair in one.by_speech.items():
        for how, result in zip(("adapting", "no adaptation"), pair, strict=True):
            learnt.add_row(f"{seconds:g} s, {how}", *_counted(result))
    return profiles, learnt


def matrix_of(reports: Sequence[Report]) -> RenderableType:
    """Format the UAR of models by corpus, which shows how they transfer."""
    corpora = list(dict.fromkeys(one.corpus for report in reports for one in report.evaluations))
    table = Table(title="UAR %, whole recordings", title_justify="left")
    table.add_column("model")
    for corpus in corpora:
        table.add_column(corpus, justify="right")
    for report in reports:
        cells = {one.corpus: _matrix_cell(one) for one in report.evaluations}
        name = f"{report.metadata.name} ({report.file})"
        table.add_row(name, *(cells.get(corpus, "") for corpus in corpora))
    return Group(
        table,
        "* corpus never heard, everybody in it tested; else trained on, and unseen speakers tested",
        f"! at chance: less than {LEAST_OVER_CHANCE:g} times the {_chance(reports[0]):g} % of "
        "guessing; such a model is not shipped",
    )


def _chance(report: Report) -> float:
    return 100.0 / len(report.metadata.labels)


def _matrix_cell(one: Evaluation) -> str:
    mark = " " if one.is_trained_on else "!" if one.is_at_chance else "*"
    return f"{one.whole.scores.uar:.1f} {mark}"
