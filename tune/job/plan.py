"""Prints the plan of a search before it starts."""

import dataclasses
import math

from rich.console import Console

from model.system.durations import counted, format_range, format_seconds
from model.system.terminal import say
from model.text.cleaning import RAW
from model.text.common_chars import CommonCharVocabulary
from model.text.held_out import warning_of_copies
from model.text.streams import EncodedCorpus
from model.text.words import CLAUSES, NO_WORDS, has_no_spaces_between_words
from model.training.schedule import constant_reports
from search_spaces.distributions import describe as describe_distribution
from tune.cluster.resources import Node, TrialResources, describe
from tune.cluster.trial_memory import format_bytes
from tune.monitoring.json_events import event, warn
from tune.monitoring.search_state import short
from tune.planning.estimate import Estimate
from tune.planning.finalist_budget import WINNER_TRAININGS
from tune.planning.simulation import Plan
from tune.planning.study import Study
from tune.planning.training_time import (
    baselines_seconds,
    has_baselines_beside,
    longest_seconds,
    shortened,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobPlan:
    """The plan of a search.

    Attributes:
        study: The search, with its sampler chosen.
        busy: Why the plan's times may not hold, or empty.
        estimate: How long it takes; None if nothing could be measured.
        unmeasured: Why there is no estimate, or empty.
        arithmetic: The best arithmetic for an LSTM here, or empty.
    """

    study: Study
    nodes: list[Node]
    need: TrialResources
    concurrent: int
    busy: str
    estimate: Estimate | None = None
    unmeasured: str = ""
    arithmetic: str = ""


def print_plan(plan: JobPlan, console: Console) -> None:
    """Print space, corpus, objective, budget, resources and time."""
    study, estimate = plan.study, plan.estimate
    event(
        console,
        "plan",
        run_folder=str(study.run_path),
        space=study.space.name,
        corpus=study.corpus.name,
        num_trials=study.num_trials,
        concurrent=plan.concurrent,
        time_budget_seconds=study.space.budget.time_budget_seconds,
        planned_seconds=list(estimate.plan.seconds) if estimate else None,
    )
    for line in _plan_lines(plan):
        say(console, line)
    for text in _warnings(study):
        warn(console, f"warning: {text}")
    if plan.busy:  # only for those who read the plan
        say(console, f"warning: {plan.busy}")


def _plan_lines(plan: JobPlan) -> list[str]:
    """Return the plan, line by line; without an estimate, it says why times are unknown."""
    study, need, estimate, concurrent = plan.study, plan.need, plan.estimate, plan.concurrent
    lines = [*_space_lines(study), *_text_lines(study)]
    if study.space.base.reports_per_epoch > 1:
        lines.append(_reports(study))
    lines += [
        f"sampler: {study.settings.sampler}, seed {study.settings.seed}",
        _budget(study),
        *_time_shares(study, concurrent, estimate),
        _finalists(study, estimate),
        f"resources: {describe(plan.nodes)}; {need.cpus} CPU and {need.gpus:g} GPU per trial, "
        f"{_memory(need)}{concurrent} at once",
    ]
    if plan.arithmetic:
        lines.append(f"arithmetic of LSTMs here: {plan.arithmetic}")
    lines.append(time_line(study, concurrent, estimate, plan.unmeasured))
    lines.append(f"run folder: {study.run_path}")
    if study.settings.trial_timeout_seconds is not None:
        limit = format_seconds(study.settings.trial_timeout_seconds)
        lines.append(f"trial timeout: a trial that reports nothing for {limit} is killed")
    return lines


def _space_lines(study: Study) -> list[str]:
    """Return the axes, what a text or an option has changed, the baselines and the starts."""
    space = study.space
    lines = [f"space: {space.name}: {space.description}"]
    for axis, distribution in space.distributions.items():
        only = ""
        if condition := space.condition(axis):
            only = f", only if {condition[0]} is {' or '.join(map(str, condition[1]))}"
        lines.append(f"  {axis:<18} {describe_distribution(distribution)}{only}")
    if space.base.normalization == "layer" and "normalization" not in space.distributions:
        others = {space.config(baseline.params).normalization for baseline in space.baselines}
        but = ", except in baselines" if others - {"layer"} else ""
        lines.append(f"  {'normalization':<18} layer{but}")
    lines += [f"  {note}" for note in study.notes]
    for baseline in space.baselines:
        params = " ".join(f"{axis}={value}" for axis, value in baseline.params.items())
        lines.append(f"  {'baseline':<18} {baseline.name}: {params}")
    for point in space.all_starts():
        params = " ".join(f"{axis}={short(value)}" for axis, value in point.items())
        lines.append(f"  {'start':<18} {params}")
    return lines


def _text_lines(study: Study) -> list[str]:
    """Return the text, its cleanings and units, and the passage that judges trials."""
    space, prepared = study.space, study.prepared
    num_raw = len(study.corpus.text)
    lines = [f"text: {num_raw:,} characters, sha256 {study.corpus.sha256[:12]}"]
    for cleaning, encoded in prepared.encoded.items():
        floor = prepared.floors.of_cleaning[cleaning].validation_bits_per_char
        price = encoded.validation.restoration_bits_per_char
        lines.append(
            f"  {cleaning:<18} {encoded.num_chars:,} characters, "
            f"{_symbols(encoded)}, floor {floor:.4f}, restoration {price:.4f}"
        )
        if "byte" in space.values("unit") and cleaning == RAW:
            config = space.config({"cleaning": RAW, "unit": "byte", "regime": "stream"})
            num_bytes = len(prepared.streams(config).train.symbols)
            lines.append(f"  {RAW + ', bytes':<18} {num_bytes:,} training bytes")
        if "word" in space.values("unit"):
            words, min_word_count = _words(study, cleaning)
            lines.append(
                f"  {cleaning + ', words':<18} {len(words.train.symbols):,} training tokens, "
                f"{len(words.vocabulary):,} symbols that occur in them at least {min_word_count} "
                f"times"
            )
    if "word" in space.values("unit") and has_no_spaces_between_words(study.corpus.text):
        lines.append(f"  {'words':<18} {CLAUSES}")
    judged = next(iter(prepared.encoded.values())).validation.num_raw_chars
    lines.append(
        f"objective: val_bits_per_char, restored bits per raw character on {judged:,} held-out "
        f"raw characters; lower is better"
    )
    return lines


def _warnings(study: Study) -> list[str]:
    """Return why the search may be of little use, one sentence per reason."""
    prepared, found = study.prepared, []
    if "word" in study.space.values("unit"):
        of_cleanings = [_words(study, cleaning)[0] for cleaning in prepared.encoded]
        if any(len(words.vocabulary) == 1 for words in of_cleanings):
            found.append(NO_WORDS)
    if prepared.resemblance is not None:  # the n-gram of a short text says little
        unpriced = map(prepared.floors.unpriced, prepared.encoded)
        found += filter(None, (prepared.resemblance.warning, *unpriced))
    if copies := warning_of_copies(study.corpus):
        found.append(copies)
    return found


def _words(study: Study, cleaning: str) -> tuple[EncodedCorpus, int]:
    """Return a cleaned text as words, and the minimum count of words in the vocabulary."""
    # The window regime reads no words.
    values = {"cleaning": cleaning, "unit": "word", "regime": "stream"}
    config = study.space.config(values)
    return study.prepared.streams(config), config.min_word_count


def _symbols(encoded: EncodedCorpus) -> str:
    """Return the number of a text's symbols, and of the characters that share one."""
    size, vocabulary = f"{len(encoded.vocabulary)} symbols", encoded.vocabulary
    if not isinstance(vocabulary, CommonCharVocabulary):
        return size
    return f"{size} (one for {len(vocabulary.rare):,} rare characters)"


def _reports(study: Study) -> str:
    """Return how often trials report on a long text."""
    chars = next(iter(study.prepared.encoded.values())).train.num_raw_chars
    times = study.space.base.reports_per_epoch
    return f"reports: {times} per epoch, one about every {chars // times:,} characters"


def _budget(study: Study) -> str:
    space, budget = study.space, study.space.budget
    limit = budget.time_budget_seconds
    is_all = space.distributions and space.max_trials() == budget.trials
    all_of_them = "all configurations of the space, " if is_all else ""
    time = format_seconds(limit) if limit else "no time limit"
    return f"budget: {counted(budget.trials, 'trial')}, {all_of_them}{time}, {asha_phrase(study)}"


def _time_shares(study: Study, concurrent: int, estimate: Estimate | None) -> list[str]:
    """Return the shares of the time budget for one training and for the baselines."""
    longest, lines = longest_seconds(study, concurrent), []
    if estimate is not None and longest < math.inf:
        base, cut = study.space.base, ""
        seconds = estimate.epoch_seconds(base)
        given = shortened(base, epoch_seconds=seconds, seconds=longest).epochs
        if study.space.base_point() is not None and given < base.epochs:
            cut = f" (the base {given:g} of {base.epochs:g})"
        lines.append(
            f"trainings: at most {format_seconds(longest)} each; longer ones get fewer epochs{cut}"
        )
    if has_baselines_beside(study) and study.space.baselines:
        each = baselines_seconds(study, concurrent) / len(study.space.baselines)
        lines.append(
            f"baselines: alongside the search, each for at most {format_seconds(each)}, plus what "
            f"other baselines leave unused"
        )
    return lines


def _finalists(study: Study, estimate: Estimate | None) -> str:
    if not study.wants_finalists:
        return "finalists: none"
    room = ""
    if study.reserves_time and study.space.budget.time_budget_seconds:
        room = f", the winner first{_reserve(study, estimate)}"
    best = f"{study.settings.finalists} best" if study.settings.finalists > 1 else "best"
    num_groups = len(study.space.groups())
    if num_groups > 1:
        each = " and ".join(study.space.budget.compare_within)
        best = f"{max(study.settings.finalists, num_groups)} best (including that of each {each})"
    num_baselines = len(study.space.baselines)
    baselines = f" and the {counted(num_baselines, 'baseline')}" if num_baselines else ""
    who = f"the {best}{baselines}" if study.space.distributions else "all"
    seeds = counted(study.settings.finalist_seeds, "seed")
    return f"finalists: {who}, retrained with {seeds} each{room}"


def _reserve(study: Study, estimate: Estimate | None) -> str:
    """Return what the time budget reserves for the finalists, and why that much."""
    if estimate is None:
        return ", as many as the time budget allows"
    low, high = estimate.plan.reserved_seconds
    if high == 0:
        return "; none of the time budget is reserved for them"
    num = counted(min(WINNER_TRAININGS, study.settings.finalist_seeds), "seed")
    kept = f"about {format_range(low, high)}" if low else f"up to {format_range(high, high)}"
    return f" with {num}; {kept} reserved for them, updated as trials are timed"


def _memory(need: TrialResources) -> str:
    if need.memory is None:
        return ""
    least, most = (
        format_bytes(need.memory.asked_bytes(config))
        for config in (need.memory.smallest, need.memory.largest)
    )
    return f"{least} of memory, " if least == most else f"{least} to {most} of memory, "


def time_line(
    study: Study, concurrent: int, estimate: Estimate | None, unmeasured: str = ""
) -> str:
    """Return the plan's line about time; without an estimate, the reason."""
    if estimate is None:
        return f"time: unknown: {unmeasured}"
    plan, limit = estimate.plan, study.space.budget.time_budget_seconds
    before = estimate.before
    trials = f"{counted(study.num_trials, 'trial')}, {concurrent} at once"
    num_left = 0 if before.is_over else max(0, study.num_trials - before.num_ended)
    has_begun = before.num_ended > 0 or before.is_over
    if has_begun:
        trials = f"{num_left} of {trials}" if num_left else "the rest"
    elif limit is not None and plan.seconds[1] >= limit:
        low, high = plan.num_trials
        trials = f"{low if low == high else f'{low} to {high}'} of {trials}"
    low_seconds, high_seconds = (seconds - before.seconds for seconds in plan.seconds)
    return (
        f"time: about {format_range(low_seconds, high_seconds)} {'more ' if has_begun else ''}"
        f"for {trials}{finalists_phrase(study, plan)}"
    )


def asha_phrase(study: Study) -> str:
    """Return at which epochs ASHA stops trials, or why it stops none."""
    space, budget = study.space, study.space.budget
    if not space.distributions:
        return "ASHA stops no trial: all are baselines"
    longest = dataclasses.replace(
        space.base,
        epochs=space.base.epochs_at(space.max_reports),
        decay_fraction=min(space.values("decay_fraction")),
    )
    rungs = budget.judged_reports(longest, longest.num_reports)
    first = f"the first rung, epoch {longest.epochs_at(budget.grace_period_epochs):g}"
    if not rungs:
        return f"ASHA stops no trial: none continues past {first}"
    if constant_reports(longest) < budget.grace_period_epochs:
        return f"ASHA stops no trial: every learning rate decays before {first}"
    epochs = ", ".join(f"{longest.epochs_at(rung):g}" for rung in rungs)
    each = " and ".join(budget.compare_within)
    share = f"about 1 in {budget.reduction_factor}{f' of each {each}' if each else ''}"
    return f"ASHA keeps {share} at epochs {epochs}"


def finalists_phrase(study: Study, plan: Plan) -> str:
    """Return which finalists the planned time includes."""
    if not study.wants_finalists:
        return ""
    low, high = plan.num_confirmations
    if high == 0:
        return "; the time budget leaves no time for finalists"
    if study.space.budget.time_budget_seconds is None:
        return ", including the finalists"
    num = counted(high, "training") if low == high else f"{low} to {high} trainings"
    return f", including {num} of finalists"
