"""Checks what the command line requests, before Ray starts or a file is written."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from rich.console import Console

from model.errors import ConfigError
from model.system.durations import parse_duration
from model.system.filesystem import check_storage
from model.system.terminal import say
from model.text.corpus import Corpus, resolve_corpus
from model.text.held_out import LONG_TEXT_CHARS, with_named_held_out, with_short_held_out
from model.text.known_text import remember
from search_spaces import Budget, SearchSpace, load_space
from search_spaces.cells import own_cells_of, with_cells
from search_spaces.given import given_space
from search_spaces.long_text import changes_for_text, for_text
from search_spaces.narrow import fixed, with_layer_norm
from tune.cluster.resources import Node, TrialResources, local_nodes, trial_resources
from tune.job.fit import fitted
from tune.job.notify import check_notify
from tune.job.start_from import with_starts
from tune.monitoring.json_events import warn
from tune.monitoring.mlflow_log import MlflowLog, check_mlflow
from tune.monitoring.tracker import MakesTracker, load_tracker
from tune.planning.study import Study, StudyOptions
from tune.records.run_folder import check_name, check_new, default_name
from tune.records.study_file import StudySettings
from tune.sampling.samplers import AUTO, check_sampler
from tune.storage.fetch import check_new_in_storage

SEEDS_OF_GIVEN = 5
"""Default without axes: a lead of 1.5 deviations is then more than noise; with 3 seeds, 2.3."""


def prepare(
    options: StudyOptions,
    console: Console,
    when_checked: Callable[[], None] = lambda: None,
    nodes: Callable[[], list[Node]] = local_nodes,
) -> Study:
    """Check all that can be checked without Ray; the first line printed names the corpus.

    Args:
        options: The command line.
        console: Where the corpus is named.
        when_checked: Called before the text is read, once all else is checked.
        nodes: Returns what trials run on; called for a long text: on GPUs, it has fewer reports.

    Raises:
        ConfigError: The first rule that is broken.
    """
    named, left_out = named_space(options)
    # Reports mistakes before a text is fetched.
    with_budget(with_starts(named, options.start_from, options.results), options)
    defaults: dict[str, Any] = {}
    if not named.distributions:  # `documented` repeats what its source did
        defaults = {"finalists": len(options.configs), "finalist_seeds": SEEDS_OF_GIVEN}
    settings = options.over(StudySettings(sampler=AUTO, **defaults))
    check_sampler(settings.sampler)
    name = options.name if options.name is not None else default_name(named.name)
    run_path = options.results / check_name(name)
    check_new(run_path)
    check_locations(options, options.storage)
    trackers = named_trackers(options)
    if options.storage is not None:
        check_new_in_storage(options.storage, name)
    when_checked()
    corpus = named_corpus(options, settings, console)
    num_chars = len(with_short_held_out(corpus).text)
    on_gpu = num_chars > LONG_TEXT_CHARS and _on_gpu(options, nodes())
    space = for_text(named, num_chars, on_gpu=on_gpu, kept=fixed_fields(options))
    changes = changes_for_text(named, space, num_chars)
    corpus = split_for(space, corpus)
    found = fitted(with_starts(space, options.start_from, options.results), corpus)
    space = with_budget(found.space, options)
    if space.budget.time_budget_seconds is not None:
        space = with_layer_norm(space, fixed_fields(options))
    return Study(
        space=space,
        corpus=corpus,
        prepared=found.prepared,
        notes=(*left_out, *changes, *found.left_out),
        run_path=run_path,
        settings=settings,
        command=options.command,
        trackers=trackers,
        name=name,
    )


def _on_gpu(options: StudyOptions, nodes: list[Node]) -> bool:
    need = trial_resources(nodes, cpus=options.cpus_per_trial, gpus=options.gpus_per_trial)
    return need.gpus > 0


def named_space(options: StudyOptions) -> tuple[SearchSpace, list[str]]:
    """Return the space that the command line names, with cells and axes fixed accordingly.

    Returns:
        The space, and a sentence about each baseline with values other than the fixed ones.

    Raises:
        ConfigError: The space or a cell does not exist, or a fixed value is not on its axis.
    """
    cells, fixes = named_cells(options), options.fix
    if options.configs:
        space = whole = given_space(options.configs, fixes)
        if unused := set(cells) - set(space.values("cell")):
            raise ConfigError(f"--cell must be a configuration's, got {', '.join(unused)}")
        cells, fixes = (), ()  # they are in the configurations
    else:
        assert options.space is not None
        space = whole = load_space(options.space)
    if cells:
        space = with_cells(space, cells)
    for cell in own_cells_of(space):
        from model.network.own_cells import own_cell  # torch, 2 s

        own_cell(cell)  # refuses an invalid one
    # Bytes need a cleaning and a regime that other rules may name.
    for rule in sorted(fixes, key=lambda rule: rule == "unit=byte"):
        space = fixed(space, rule)
    kept = {baseline.name for baseline in space.baselines}
    gone = [baseline.name for baseline in whole.baselines if baseline.name not in kept]
    return space, [f"baseline {name} is left out: it contradicts --fix" for name in gone]


def fixed_fields(options: StudyOptions) -> set[str]:
    """Return the fields that the command line fixes."""
    return {rule.partition("=")[0] for rule in options.fix}


def named_cells(options: StudyOptions) -> tuple[str, ...]:
    """Execute the cells that the command line names, and return their names in configurations.

    Raises:
        ConfigError: There is no such cell, or a file's class is not one.
    """
    if not options.cell:
        return ()
    from model.training.named_cells import execute_cells  # torch, 2 s

    return execute_cells(options.cell)


def check_locations(options: StudyOptions, storage: str | None) -> None:
    """Check a trial's resources, the storage and the target of `--notify`.

    Raises:
        ConfigError: The rule that is broken.
    """
    TrialResources(cpus=options.cpus_per_trial, gpus=options.gpus_per_trial or 0.0)
    if options.notify is not None:
        check_notify(options.notify)
    if storage is not None:
        check_storage(storage)


def named_trackers(options: StudyOptions) -> dict[str, MakesTracker]:
    """Return what creates the trackers that the command line names; a run does not save them.

    Raises:
        ConfigError: One cannot be loaded.
    """
    makers: dict[str, MakesTracker] = {}
    if options.mlflow is not None:
        check_mlflow(options.mlflow)
        makers["MLflow"] = functools.partial(MlflowLog, uri=options.mlflow)
    return makers | {named: load_tracker(named) for named in options.tracker}


def named_corpus(options: StudyOptions, settings: StudySettings, console: Console) -> Corpus:
    """Find the corpus and print which it is.

    Args:
        options: Its name and its held-out texts.
        settings: The run's settings.
        console: Where the line is printed.

    Raises:
        CorpusError: It is not available.
    """
    corpus = resolve_corpus(options.corpus, settings.reading)
    corpus = with_named_held_out(
        corpus, settings.reading, validation=options.validation, test=options.test
    )
    tell_corpus(corpus, console, say if options.corpus else warn)  # warns which one it chose
    return corpus


def split_for(space: SearchSpace, corpus: Corpus) -> Corpus:
    """Return a text split as a space needs it: with several reports per epoch, less is held out.

    Runs from before 2026-11-29 report once per epoch, however long their text is.
    """
    if space.base.reports_per_epoch > 1:
        corpus = with_short_held_out(corpus)
    remember(corpus)
    return corpus


def tell_corpus(
    corpus: Corpus, console: Console, tell: Callable[[Console, str], None] = say
) -> None:
    """Print which text it is."""
    # The source of a file or a URL names it.
    name = "" if f" {corpus.name}," in f"{corpus.source}," else f"{corpus.name}: "
    tell(console, f"corpus: {name}{corpus.source}")


def with_budget(space: SearchSpace, options: StudyOptions) -> SearchSpace:
    """Return the space with the budget that the command line requests.

    Raises:
        ConfigError: The budget breaks a rule.
    """
    changes: dict[str, float | int | None] = {}
    if options.trials is not None:
        changes["trials"] = options.trials
        # A number of trials is a complete budget: the space's time is for the space's number.
        changes["time_budget_seconds"] = None
    if options.time_budget is not None:
        changes["time_budget_seconds"] = parse_duration(options.time_budget)
    budget: Budget = dataclasses.replace(space.budget, **changes)  # type: ignore[arg-type]
    most = space.max_trials()
    if most is not None and budget.trials > most:
        if not space.distributions:
            raise ConfigError(
                f"trials must be at most {most} in the space {space.name!r}, which has no axes, "
                f"got {budget.trials}"
            )
        budget = dataclasses.replace(budget, trials=most)  # the plan says so
    return dataclasses.replace(space, budget=budget)
