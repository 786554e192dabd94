"""One search from its checked settings to its exit code: plan, search, finalists, finish.

What can be checked without Ray has been checked, and no file has been written; what a cluster has
becomes known after joining it.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console

from model.config import TrialConfig
from model.errors import EXTERNAL_FAULT, ConfigError, ExternalFault
from model.system.energy import Energy, EnergyMeter
from model.system.files import unwritable
from model.system.terminal import complain, take_signals_back
from model.training.speed import Machine
from tune.cluster.cluster import Cluster
from tune.cluster.ray_watch import RayWatch
from tune.cluster.resources import (
    Concurrency,
    num_concurrent,
    trial_resources,
    with_memory,
)
from tune.cluster.shared_corpus import SharedCorpus
from tune.cluster.temporary_folder import why_full
from tune.cluster.trial_memory import TrialMemory, check_gpu_memory, text_of
from tune.job.finalists import confirm
from tune.job.finish import finish, resume_command, show_finished
from tune.job.flags import options_to_repeat
from tune.job.found_before import found_before, is_spent
from tune.job.notify import tell_end
from tune.job.outcome import why_nothing
from tune.job.plan import JobPlan, print_plan
from tune.job.predictor import with_predictor
from tune.job.search import search
from tune.job.steering import overridden_by, with_time_budget, workers_ordered
from tune.job.study_json import study_file
from tune.job.text_speed import keep_times
from tune.job.worker_tasks import AfterSearch
from tune.monitoring.json_events import warn
from tune.planning.estimate import Estimate
from tune.planning.study import NOTHING_SPENT, EarlierSessions, Study, StudyOptions
from tune.planning.training_time import num_settled, with_base_that_fits
from tune.records.history import History, read_search
from tune.records.history_lock import check_no_driver
from tune.records.json_file import read_json, write_json
from tune.records.run_folder import RunFolder, existing_parent
from tune.sampling.samplers import AUTO, default_sampler
from tune.storage.folder_lease import leased_folder
from tune.storage.mirror import Mirror
from tune.storage.requests import Requests
from tune.trials.trainable import trainable_for


def run_study(study: Study, options: StudyOptions, cluster: Cluster, console: Console) -> int:
    """Run a search and return the exit code.

    Args:
        study: The search.
        options: The command line.
        cluster: Where it runs; a local Ray may be starting.
        console: Where the plan, the progress and the results are printed.

    Raises:
        ConfigError: The user's mistake, in one line.
        ExternalFault: Something outside ended the search, which can be resumed.
    """
    earlier = study.earlier
    # Even if its time was not used up: some was reserved for the finalists.
    if earlier and earlier.study.finished and not study.extended:
        mirror = None if options.dry_run else _mirror(study, earlier.folder, console)
        # The last session may not have copied everything.
        with mirror if mirror and mirror.is_behind() else nullcontext():
            result = found_before(study, earlier)
            return show_finished(
                study, earlier.folder, result, console, again=options_to_repeat(options)
            )
    if earlier and not options.dry_run:
        check_no_driver(earlier.folder.history_file)
    plan = _planned(study, options, cluster, console)
    print_plan(plan, console)
    return 0 if options.dry_run else _carried_out(plan, options, cluster, console)


def _planned(study: Study, options: StudyOptions, cluster: Cluster, console: Console) -> JobPlan:
    """Measure the machine; determine what a trial requests and how many run at once."""
    cluster.take_memory()
    nodes = cluster.nodes()
    # Here too: a finished run that is extended has not been checked before its text.
    cluster.check_local_trial(options.cpus_per_trial, options.gpus_per_trial)
    cluster.check_local()
    cluster.check_storage(study.settings.storage or str(existing_parent(study.run_path)))
    need = trial_resources(nodes, cpus=options.cpus_per_trial, gpus=options.gpus_per_trial)
    most = most_at_once(study, options)
    concurrent = num_concurrent(nodes, need, most)
    if not options.dry_run:
        cluster.start_soon()  # what can be checked without Ray is checked
    console.print("measuring how fast a trial trains here …", highlight=False)
    machine = cluster.measure(
        need,
        precision=study.space.base.precision,
        kernel=study.space.base.kernel,
        largest_hidden_size=max(study.space.values("hidden_size")),
        held_bytes=sys.getsizeof(study.corpus.text) + study.prepared.num_bytes,
    )
    plan = JobPlan(study=study, nodes=nodes, need=need, concurrent=concurrent, busy=cluster.busy)
    if isinstance(machine, str):
        plan = dataclasses.replace(plan, unmeasured=machine)
    else:
        plan = _estimated(plan, machine, most, is_local=not cluster.address)
    if study.settings.sampler == AUTO:
        settings = dataclasses.replace(study.settings, sampler=default_sampler(plan.concurrent))
        plan = dataclasses.replace(plan, study=dataclasses.replace(plan.study, settings=settings))
    return plan


def _estimated(plan: JobPlan, machine: Machine, most: int | None, *, is_local: bool) -> JobPlan:
    """Return a plan with what follows from the measured machine: memory, base and estimate."""
    study, need = plan.study, plan.need
    arithmetic, on_gpu = str(machine.arithmetic), machine.free_gpu_bytes is not None
    if need.gpus and not on_gpu:
        arithmetic += "; torch sees no GPU on the worker, so trials train on the CPU"
    memory = TrialMemory.of(
        study.space, study.prepared, process_bytes=machine.process_bytes, on_gpu=on_gpu
    )
    if machine.free_gpu_bytes is not None and is_local:
        check_gpu_memory(study.space, memory, machine.free_gpu_bytes, need.gpus)
    need = with_memory(study.space, need, memory, plan.nodes)
    concurrent = num_concurrent(plan.nodes, need, most)
    spent = NOTHING_SPENT
    if study.earlier:
        settled = num_settled(study, study.earlier.search.records.values(), concurrent)
        is_over = is_spent(study, study.earlier, concurrent)
        spent = study.earlier.spent(settled, is_over=is_over)

    def epoch_seconds(config: TrialConfig) -> float:
        return machine.speed.epoch_seconds(config, memory.sizes[text_of(config)])

    study = with_base_that_fits(study, epoch_seconds=epoch_seconds, concurrent=concurrent)
    return dataclasses.replace(
        plan,
        study=study,
        need=need,
        concurrent=concurrent,
        estimate=Estimate(study, machine.speed, concurrent, spent),
        arithmetic=arithmetic,
    )


def _carried_out(plan: JobPlan, options: StudyOptions, cluster: Cluster, console: Console) -> int:
    """Search, train the finalists, write the results, and return the exit code."""
    study, need, estimate = plan.study, plan.need, plan.estimate
    facts = study_file(study, None, estimate)
    if not study.earlier:  # if Ray does not start, no run folder is left
        cluster.start()
        take_signals_back()
    folder = study.earlier.folder if study.earlier else RunFolder.create(study.run_path, facts)
    command = functools.partial(resume_command, folder, options_to_repeat(options))

    @functools.cache
    def corpus_on_ray() -> SharedCorpus:
        cluster.start()
        take_signals_back()
        watch.start(is_local=not cluster.address)
        return SharedCorpus.of(study.prepared)

    def lost(said: str) -> None:
        try:
            cluster.remove_folders()
        finally:
            tell_end(options, folder, EXTERNAL_FAULT, said)

    mirror = _mirror(study, folder, console)
    requests = Requests(
        [str(folder.path), *([mirror.root] if mirror else [])],
        functools.partial(warn, console),
        after_copy=mirror.after_copy if mirror else None,
    )
    with (
        naming_how_to_resume(folder.path, command, other_place=cluster.why_full),
        History(folder.history_file) as history,
        # A lock, or the lease in a storage, also keeps other drivers out.
        nullcontext()
        if history.is_locked or mirror
        else leased_folder(folder.path, say=functools.partial(warn, console)),
        mirror or nullcontext(),
        RayWatch(command=command, ended=lost) as watch,
        EnergyMeter(
            read_json(folder.energy_file, Energy, "a run's energy") or Energy(),
            keep=functools.partial(write_json, path=folder.energy_file),
        ) as meter,
    ):
        at_once = Concurrency(cluster.nodes, need, most_at_once(study, options))
        finalists = read_search(folder.finalists_history_file).records
        before = EarlierSessions(folder=folder, study=facts, search=history, finalists=finalists)
        result = found_before(study, before)
        if study.earlier:
            if study.earlier.study.machine == facts.machine:  # times of two are not compared
                keep_times(folder, history.records)
            folder.write_study(facts)
        if is_spent(study, before, plan.concurrent):
            requests.close()  # only trials are steered; a killed driver may have left it open
        else:
            with requests:
                result = search(
                    study,
                    folder,
                    history,
                    trainable_for(corpus_on_ray(), need),
                    at_once,
                    estimate,
                    console,
                    spent_seconds=result.seconds,
                    finalists=finalists,
                    requests=requests,
                    limit_workers=at_once.limit,
                    overridden=overridden_by(options),
                )
            if result.time_budget_seconds is not None:
                study = with_time_budget(study, result.time_budget_seconds)
            cluster.compare(estimate.ratios(result.records) if estimate else [])
        if not result.interrupted and not why_nothing(study, result):
            after = AfterSearch(
                study=study,
                folder=folder,
                corpus=corpus_on_ray(),
                need=need,
                concurrent=at_once,
                console=console,
            )
            if study.wants_finalists:
                result = confirm(after, result)
            if not result.interrupted:
                result = with_predictor(after, result)
        meter.read()
        may_delete = mirror.may_delete if mirror else lambda: True
        return finish(
            *(study, folder, result, estimate, console),
            may_delete=may_delete,
            again=options_to_repeat(options),
        )


def most_at_once(study: Study, options: StudyOptions) -> int | None:
    """Return how many trials may run at once, if an option or an order limits that."""
    ordered = workers_ordered(study.earlier.search) if study.earlier else None
    # A repeated command line is older than the order.
    is_older = options.or_resume and ordered is not None
    return ordered if options.max_concurrent is None or is_older else options.max_concurrent


def _mirror(study: Study, folder: RunFolder, console: Console) -> Mirror | None:
    """Return what copies a run into its storage; None if nothing is copied."""
    root = study.mirror_root
    if root is None:
        return None
    tell = functools.partial(warn, console)
    return Mirror(folder.path, root, text=study.corpus.text, say=tell)


@contextmanager
def naming_how_to_resume(
    location: object, command: Callable[[], str], *, other_place: Callable[[], str | None]
) -> Iterator[None]:
    """Print the command that continues the run if an external fault ends it.

    Args:
        location: Where the run writes.
        command: Returns that command.
        other_place: Returns why another place cannot be written, or None.

    Raises:
        ExternalFault: A file could not be written.
    """
    try:
        yield
    except KeyboardInterrupt:
        complain("to continue", command())
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, ExternalFault) else unwritable(error)
        if reason is None:
            if not isinstance(error, ConfigError):  # not the user's mistake, but ours
                complain("to continue", command())
            raise
        # A full disk's error seldom names the disk: the temporary folder's, and not the run's?
        elsewhere = other_place() if unwritable(error) else None
        if elsewhere is not None and why_full(Path(str(location))) is None:
            reason = elsewhere
        elif not isinstance(error, ExternalFault):
            reason = f"a run must be able to write its files: {location}: {reason}"
        raise ExternalFault(f"{reason}; to continue: {command()}") from error
