"""Reads a study back from its run folder, so that the search can continue."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterator
from typing import Any

from rich.console import Console

from model.config import is_own_cell
from model.errors import ConfigError
from model.scoring.objective import OBJECTIVE_VERSION
from model.system.filesystem import check_storage, is_uri, join, normal
from model.text.corpus import Corpus
from search_spaces import Budget, SearchSpace
from search_spaces.cells import own_cells_of
from search_spaces.long_text import for_text
from search_spaces.narrow import with_layer_norm
from tune.cluster.resources import Node, local_nodes
from tune.job.fit import fitted
from tune.job.prepare import (
    check_locations,
    fixed_fields,
    named_cells,
    named_corpus,
    named_space,
    named_trackers,
    prepare,
    split_for,
    tell_corpus,
    with_budget,
)
from tune.job.steering import without_ordered_budget
from tune.planning.study import (
    EarlierSessions,
    Study,
    StudyOptions,
    finalists_of,
    is_folder,
)
from tune.records.run_folder import RunFolder, check_name, find_run, text_of_run
from tune.records.study_file import CHANGEABLE_SETTINGS, StudyFile, StudySettings
from tune.records.trial import num_ended
from tune.sampling.samplers import AUTO, check_sampler
from tune.storage.fetch import fetch_run, found_in_storage


def prepared_study(
    options: StudyOptions,
    console: Console,
    when_checked: Callable[[], None] = lambda: None,
    nodes: Callable[[], list[Node]] = local_nodes,
) -> Study:
    """Return the checked study of a command line: a new search, or a resumed one.

    Args:
        options: The command line.
        console: Where the corpus is named.
        when_checked: Called before the text is read, once all else is checked, if the search
            will run: not for a finished one.
        nodes: Returns what trials run on.

    Raises:
        ConfigError: The first rule that is broken.
    """
    is_repeated = options.or_resume
    if is_repeated:
        options = or_resumed(options)
    if options.resume is None:
        return prepare(options, console, when_checked, nodes)
    return prepare_resumed(options, console, when_checked, is_repeated=is_repeated)


def or_resumed(options: StudyOptions) -> StudyOptions:
    """Return options that resume the run that they name, if it exists: `--or-resume`.

    Raises:
        ConfigError: The name is not valid, or the storage cannot be used.
    """
    assert options.name is not None
    name = check_name(options.name)
    location = None
    if options.storage is not None:
        check_storage(options.storage)
        location = found_in_storage(options.storage, name)
    # Even with a storage: the run may have ended before its first copy.
    if location is None and RunFolder(options.results / name).study_file.is_file():
        location = str(options.results / name)
    if location is not None:  # the run keeps its starts
        options = dataclasses.replace(options, start_from=())
    return dataclasses.replace(options, or_resume=False, resume=location)


def prepare_resumed(
    options: StudyOptions,
    console: Console,
    when_checked: Callable[[], None] = lambda: None,
    *,
    is_repeated: bool = False,
) -> Study:
    """Return the study of an earlier run; options that contradict it are refused.

    Args:
        options: The command line.
        console: Where the corpus is named.
        when_checked: As for `prepared_study`.
        is_repeated: Whether the command line is the one that started the run: later orders
            remain in force.

    Raises:
        ConfigError: The first rule that is broken.
    """
    assert options.resume is not None
    if options.fix and options.space is None and not options.configs:
        raise ConfigError(
            f"--fix needs --space or --configs: a resumed run keeps its space; {_way(options)}"
        )
    if options.start_from:
        raise ConfigError("start_from is only for a new search: a resumed run keeps its starts")
    found_in = None
    in_storage = options.storage and join(options.storage, options.name or "") == normal(
        options.resume
    )
    if is_uri(options.resume) or in_storage:
        folder, found_in = fetch_run(options.resume, options.results)
    else:
        folder = find_run(options.resume, options.results)
    earlier = EarlierSessions.of(folder)
    stored = earlier.study
    if stored.objective.version != OBJECTIVE_VERSION:
        raise ConfigError(
            f"a resumed run's objective must be version {OBJECTIVE_VERSION}, got "
            f"{stored.objective.version}; {_way(options)}"
        )
    if is_repeated:
        options = without_ordered_budget(options, earlier.search)
    check_sampler(stored.settings.sampler)
    # A bucket may have been copied.
    storage = found_in or _stored_storage(stored, is_named=options.storage is not None)
    settings = dataclasses.replace(stored.settings, storage=storage)
    for name, value in dataclasses.asdict(settings).items():
        if name not in CHANGEABLE_SETTINGS and getattr(options, name) != AUTO:
            _check_same(name, getattr(options, name), value)
    _check_same("name", options.name, folder.path.name)
    _check_named_cells(named_cells(options), earlier, options)
    space = with_budget(stored.space, options)
    own = (record for record in earlier.search.records.values() if not record.order_id)
    _check_trials(options.trials, num_ended(own))
    check_locations(options, storage)
    name = _name_in_storage(earlier, storage, was_fetched=found_in is not None)
    trackers = named_trackers(options)
    if not stored.finished:
        when_checked()
    corpus = _text(options, stored, folder, console)
    _check_text(corpus, stored)
    if options.space is not None or options.configs:
        _check_space(named_space(options)[0], stored.space, corpus, options)
    found = fitted(space, corpus, stored.objective.as_floors())
    settings = dataclasses.replace(options.over(settings), sampler=settings.sampler)
    return Study(
        space=found.space,
        corpus=dataclasses.replace(corpus, name=stored.corpus.name),
        prepared=found.prepared,
        run_path=folder.path,
        settings=settings,
        command=stored.command,
        earlier=earlier,
        notes=stored.notes,
        extended=_asks_for_more(settings, space.budget, earlier),
        trackers=trackers,
        search_id=stored.search_id,
        name=name,
    )


def _stored_storage(stored: StudyFile, *, is_named: bool) -> str | None:
    """Return a run's storage as study.json has it.

    Raises:
        ConfigError: It has its own endpoint, and the command line does not name it again.
    """
    storage = stored.settings.storage
    if storage is None:
        return None
    if not is_named and "endpoint" in storage.partition("?")[2]:
        raise ConfigError(
            f"--storage must be given again, because this run's has its own endpoint: {storage}"
        )
    return normal(storage)


def _name_in_storage(earlier: EarlierSessions, storage: str | None, *, was_fetched: bool) -> str:
    """Return a run's name in its storage, or empty if it is the folder's name.

    Raises:
        ConfigError: An earlier version did not save it, and the storage has no run with the
            folder's name.
    """
    name, folder = earlier.study.name, earlier.folder.path
    if storage is None:
        return name
    if was_fetched:
        return folder.name
    location = join(storage, folder.name)
    if is_folder(location, folder):  # in the storage itself, perhaps renamed there
        return ""
    has_epochs = any(record.epochs for record in earlier.search.records.values())
    if name or not has_epochs or earlier.study.finished:
        return name
    if found_in_storage(storage, folder.name) is None:
        raise ConfigError(
            f"a run and its copy in the storage must have the same name: {folder} has epochs, but "
            f"{location} is no run; if you renamed the folder, rename it back"
        )
    return folder.name


def _check_named_cells(
    cells: tuple[str, ...], earlier: EarlierSessions, options: StudyOptions
) -> None:
    """Refuse cells that are not the run's, and the run's cells if their files are not named.

    Raises:
        ConfigError: The rule that is broken.
    """
    stored = earlier.study
    of_trials = {record.config.cell for record in earlier.search.records.values()}
    own = dict.fromkeys([*own_cells_of(stored.space), *filter(is_own_cell, sorted(of_trials))])
    for cell in own:
        from model.training.named_cells import check_same_file  # torch, 2 s

        check_same_file(cell, stored.cells.get(cell), "the run")
    known = stored.space.values("cell")
    for cell in cells:
        if cell not in known:
            raise ConfigError(
                f"cell must be one of the resumed run's, {', '.join(known)}, got {cell!r}; "
                f"{_way(options)}"
            )


def _check_space(
    named: SearchSpace, stored: SearchSpace, corpus: Corpus, options: StudyOptions
) -> None:
    """Refuse a space that is not the run's; the run's was fitted to its text.

    Raises:
        ConfigError: It is a different space.
    """
    spaces = [named]
    for space in _as_it_may_have_begun(named, len(corpus.text), fixed_fields(options)):
        if space not in spaces:
            spaces.append(space)
    narrowed = (fitted(space, corpus).space for space in spaces)  # slow: only if none agrees yet
    kept = _what_must_agree(stored)
    if all(_what_must_agree(space) != kept for space in itertools.chain(spaces, narrowed)):
        raise ConfigError(
            f"a resumed run's space must be the one in its study.json, but {named.name!r} "
            f"differs from it; {_way(options)}"
        )


def _way(options: StudyOptions) -> str:
    """Return how to search something else with what a run has found."""
    if options.configs:
        return "start a new search, with another --name"
    return f"start a new search with --start-from {options.resume}"


def _as_it_may_have_begun(
    named: SearchSpace, num_chars: int, kept: Collection[str]
) -> Iterator[SearchSpace]:
    """Yield what a space may have become when a run started.

    Whether a GPU trained it and whether it had a time budget is not recorded.
    """
    for on_gpu in (False, True):
        space = for_text(named, num_chars, on_gpu=on_gpu, kept=kept)
        yield space
        yield with_layer_norm(space, kept)


def _what_must_agree(space: SearchSpace) -> dict[str, Any]:
    """Return what must be the same in a resumed run, which has its own budget and starts.

    The base's values on axes are a start, too, which the run's text and time budget have
    changed.
    """
    values = space.to_json()
    base = {key: value for key, value in values["base"].items() if key not in space.distributions}
    kept = {key: values[key] for key in values if key not in ("budget", "starts")}
    return {**kept, "base": base}


def _text(options: StudyOptions, stored: StudyFile, folder: RunFolder, console: Console) -> Corpus:
    """Return the text, from where the user says or where it is known to be the same."""
    if (options.corpus, options.validation, options.test) != (None, None, None):
        return split_for(stored.space, named_corpus(options, stored.settings, console))
    corpus = text_of_run(stored, folder)
    tell_corpus(corpus, console)
    known = stored.corpus
    return dataclasses.replace(
        corpus,
        source=known.source,
        lengths=known.lengths,
        is_published=known.is_published,
        has_own_held_out=known.has_own_held_out,
    )


def _check_text(corpus: Corpus, stored: StudyFile) -> None:
    known = stored.corpus
    if (corpus.sha256, corpus.lengths) != (known.sha256, known.lengths):
        raise ConfigError(
            f"a resumed run's corpus must be its original text with sha256 {known.sha256[:12]}, "
            f"but {corpus.name} has {corpus.sha256[:12]}"
        )


def _asks_for_more(settings: StudySettings, budget: Budget, earlier: EarlierSessions) -> bool:
    """Return whether more is asked for than in the earlier sessions, or other finalists."""
    stored, ended = earlier.study, earlier.search.ended
    before = stored.space.budget
    seconds, seconds_before = (b.time_budget_seconds or math.inf for b in (budget, before))
    return (
        finalists_of(settings) != finalists_of(stored.settings)
        or (ended is not None and ended.is_settled and not settings.stop_when_settled)
        or budget.trials > before.trials
        or seconds > seconds_before
    )


def _check_trials(trials: int | None, ended: int) -> None:
    if trials is not None and trials < ended:
        raise ConfigError(
            f"trials is the total of the whole run and must be at least {ended}, the number that "
            f"have ended, got {trials}"
        )


def _check_same(name: str, said: object, stored: object) -> None:
    if said not in (None, stored):
        raise ConfigError(f"{name} must be that of the resumed run, {stored!r}, got {said!r}")
