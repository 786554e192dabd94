"""A search: proposals from Optuna, ASHA over their epochs, a history of both."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping

import ray.tune as ray_tune
from rich.console import Console

from model.config import TrialConfig
from model.scoring.objective import uniform_guess_bits_per_char
from model.training.schedule import training_is_over
from tune.job.steering import Steering, let_finish_again, settle_ordered, with_time_budget
from tune.monitoring.json_events import warn
from tune.monitoring.progress import Progress
from tune.monitoring.tracker import TrackedSearch
from tune.monitoring.trackers import Trackers
from tune.planning.estimate import Estimate, Remaining
from tune.planning.finalist_budget import reserved_seconds
from tune.planning.settling import why_settled
from tune.planning.study import Study
from tune.planning.training_time import (
    BaselinesBeside,
    has_baselines_beside,
    longest_seconds,
    shortened,
)
from tune.records.history import History, TrialEnded
from tune.records.orders import Action
from tune.records.run_folder import RunFolder
from tune.records.search_record import SearchEnded, SearchRecord
from tune.records.trial import Status, TrialRecord
from tune.reporting.live import LiveFiles
from tune.sampling.optuna_study import open_study, quiet_optuna
from tune.sampling.searcher import StudySearcher
from tune.storage.checkpoints import CheckpointStore
from tune.storage.requests import Requests
from tune.trials.asha import FairASHA
from tune.trials.epoch_reports import learn_missed
from tune.trials.experiment import run_trials
from tune.trials.first_trials import FirstTrials
from tune.trials.limiter import memory_excess_bytes
from tune.trials.recorder import Recorder
from tune.trials.stopper import SearchStopper


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """A search's result.

    Attributes:
        records: All trials.
        seconds: How long the search took in all its sessions.
        interrupted: Whether a signal ended it.
        timed_out: Whether its time budget ended it.
        unconfirmed: Why no finalist was retrained, if known; or empty.
        ended_early: Why it ended early, when further trials promised nothing; or empty.
        time_budget_seconds: The time budget at its end, because a user may have changed it.
    """

    records: list[TrialRecord]
    seconds: float
    interrupted: bool
    timed_out: bool
    unconfirmed: str = ""
    ended_early: str = ""
    time_budget_seconds: float | None = None


def search(
    study: Study,
    folder: RunFolder,
    history: History,
    trainable: type[ray_tune.Trainable],
    concurrent: Callable[[], int],
    estimate: Estimate | None,
    console: Console,
    *,
    spent_seconds: float,
    finalists: Mapping[int, TrialRecord],
    requests: Requests,
    limit_workers: Callable[[int], None] = lambda most: None,
    overridden: Collection[Action] = (),
) -> SearchResult:
    """Run a study's remaining trials; the history and the tables are written meanwhile.

    Args:
        study: The search.
        folder: Its run folder.
        history: Open history of its trials.
        trainable: The trial class that Ray runs, with its resources.
        concurrent: Returns the maximum number of concurrent trials.
        estimate: The plan; None if nothing was measured.
        console: Shows the progress.
        spent_seconds: Seconds of the earlier sessions.
        finalists: Finalists that earlier sessions trained; time is reserved only for the missing
            ones.
        requests: Where orders come from; they are being read.
        limit_workers: Limits the number of concurrent trials.
        overridden: As in `Steering`.
    """
    quiet_optuna()
    store = CheckpointStore(study.checkpoints_root)
    checkpoints = learn_missed(
        history, store, promotes=study.space.budget.promotes, spent_seconds=spent_seconds
    )
    settle_ordered(history)
    # Stopper and steering need each other: what the stopper is given is called once trials run,
    # when both are there. The functions below see the study that `replace_budget` puts in place;
    # searcher, scheduler and progress keep the first, and look at no time budget from then on.
    beside = None
    if has_baselines_beside(study):
        beside = BaselinesBeside(study, history.records, concurrent)
    stopper = SearchStopper(
        study.space.budget.time_budget_seconds,
        spent_seconds=spent_seconds,
        reserve_seconds=lambda: reserved_seconds(
            study, history.records.values(), concurrent(), finalists
        ),
        has_had_its_time=beside.has_had_its_time if beside else lambda result: False,
        why_settled=lambda: why_settled(study, history, stopper.seconds(), stopper.seconds_left()),
        carry_out=lambda: steering.carry_out(),
    )
    remaining = Remaining(estimate) if estimate else None
    scheduler = asha_of(study, history)
    _settle_stopped(scheduler, history)
    records = list(history.records.values())

    def promotion(is_last: bool) -> tuple[TrialRecord, list[str]] | None:
        number = promoted(scheduler, history, is_last=is_last, seconds_left=stopper.seconds_left())
        return None if number is None else (history.records[number], store.of_trial(number))

    def shorten(config: TrialConfig) -> TrialConfig:
        left = stopper.seconds_left()
        if left is None or remaining is None:
            return config
        seconds = min(left, longest_seconds(study, concurrent()))
        return shortened(config, epoch_seconds=remaining.epoch_seconds(config), seconds=seconds)

    progress = Progress(
        console,
        study.space,
        num_trials=study.num_trials,
        clock=stopper.seconds,
        seconds_left=stopper.seconds_left,
        earlier=records,
        remaining=remaining,
    )
    folder.write_tables(records)
    searcher = StudySearcher(
        open_study(folder.optuna_file, study.space, records=records),
        study.space,
        seed=study.settings.seed,
        sampler=study.settings.sampler,
        records=records,
        checkpoints=checkpoints,
        next_baseline=beside.next if beside else None,
        promotion=promotion,
        shorten=shorten,
    )
    live_files = LiveFiles(folder)
    tracked = TrackedSearch(
        name=folder.path.name,
        folder=folder.path.resolve(),
        space=study.space,
        search_id=study.search_id,
    )
    trackers = Trackers(tracked, study.trackers, console)

    def replace_budget(seconds: float) -> None:
        nonlocal study
        study = with_time_budget(study, seconds)
        if beside:
            beside.study = study
        stored = dataclasses.replace(folder.read_study(), space=study.space)
        folder.write_study(stored)

    steering = Steering(
        history=history,
        folder=folder,
        requests=requests,
        space=study.space,
        tell=progress.ordered,
        replace_budget=replace_budget,
        stopper=stopper,
        scheduler=scheduler,
        searcher=searcher,
        limit_workers=limit_workers,
        overridden=overridden,
    )
    with trackers, live_files:
        steering.resume()
        first_trials = FirstTrials(
            guess=guess_of(study),
            say=functools.partial(warn, console),
            end=stopper.end_early,
            earlier=records,
        )
        recorder = Recorder(
            history,
            stopper,
            save=live_files.save,
            listeners=[progress, trackers, first_trials],
            failed=searcher.fail,
            added=steering.trial_started,
            ends=steering.trial_ends,
        )
        run_trials(
            trainable,
            searcher=searcher,
            scheduler=scheduler,
            concurrent=concurrent,
            store=store,
            stopper=stopper,
            recorder=recorder,
            display=progress,
            trial_timeout_seconds=study.settings.trial_timeout_seconds,
            memory_excess_bytes=memory_excess_bytes(records),
        )
    _end(study, history, stopper, steering)
    searcher.stop_running()
    # During the search they are written only now and then: the last ends may be missing.
    live_files.save_all(history.records.values())
    return SearchResult(
        records=list(history.records.values()),
        seconds=stopper.seconds(),
        interrupted=stopper.interrupted,
        timed_out=stopper.timed_out,
        ended_early=stopper.ended_early,
        time_budget_seconds=study.space.budget.time_budget_seconds,
    )


def _end(study: Study, history: History, stopper: SearchStopper, steering: Steering) -> None:
    """Record how a search ended; nothing if Ctrl-C alone ended it: it may continue."""
    if not (stopper.interrupted or stopper.timed_out):  # else it may continue
        steering.search_ends()
    if stopper.timed_out or not stopper.interrupted:
        history.add(
            SearchEnded(
                search_seconds=stopper.seconds(),
                timed_out=stopper.timed_out,
                ended_early=stopper.ended_early,
                is_settled=stopper.is_settled,
                trials=study.num_trials,
                time_budget_seconds=study.space.budget.time_budget_seconds,
            )
        )


def guess_of(study: Study) -> Callable[[TrialConfig], float]:
    """Return what maps a configuration to a uniform guess's restored bits per raw character."""
    bits = {
        cleaning: uniform_guess_bits_per_char(encoded)
        for cleaning, encoded in study.prepared.encoded.items()
    }
    return lambda config: bits[config.cleaning]


def asha_of(study: Study, search: SearchRecord) -> FairASHA:
    """Return a search's ASHA; it has seen no trials yet, but knows which ones must finish."""
    space = study.space
    scheduler = FairASHA(space.budget, max_reports=space.max_reports, base=space.base)
    let_finish_again(scheduler, search)
    return scheduler


def promoted(
    scheduler: FairASHA,
    search: SearchRecord,
    *,
    is_last: bool,
    seconds_left: float | None = None,
) -> int | None:
    """Return the trial to promote next; None if there is none.

    Args:
        scheduler: Has seen the trials.
        search: The trials.
        is_last: Whether no new trial will come.
        seconds_left: Maximum time for the rest of its training; None for no limit.
    """

    def has_stopped(number: int) -> bool:
        record = search.records[number]
        return record.status is Status.PRUNED and not record.is_stopped_by_hand

    def has_time(number: int) -> bool:
        if seconds_left is None:
            return True
        record = search.records[number]
        reports_left = record.config.num_reports - record.epochs[-1].report
        return reports_left * record.report_seconds <= seconds_left

    return scheduler.promoted(has_stopped, is_last=is_last, has_time=has_time)


def _settle_stopped(scheduler: FairASHA, history: History) -> None:
    """Fill the rungs; end trials that ASHA had stopped when the driver was killed."""
    for number in scheduler.replay(list(history.records.values())):
        record = history.records[number]
        assert record.best is not None  # it was compared
        is_over = training_is_over(
            record.config, report=record.epochs[-1].report, best_report=record.best.report
        )
        if not record.has_ended and not is_over:
            event = TrialEnded(
                number=number, status=Status.PRUNED, error="", search_seconds=history.seconds()
            )
            history.add(event)
