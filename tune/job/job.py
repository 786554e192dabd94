"""One search from options to exit code: check, show the plan, search, finish.

Everything that a user can get wrong is found out before Ray starts and before a file is
written; only what a cluster has is learnt after joining it. Ray and torch are imported after
the checks, so that a mistake is told at once.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from model.errors import ConfigError, ExternalFault
from model.system.files import unwritable
from tune.job.prepare import prepare
from tune.job.resume import or_resumed, prepare_resumed
from tune.planning.study import StudyOptions
from tune.sampling.samplers import AUTO, default_sampler


def run_study(options: StudyOptions, console: Console) -> int:
    """Run a search and return the exit code.

    Raises:
        ConfigError: The user's mistake, in one line.
        ExternalFault: Something outside ended the search, which can be resumed.
    """
    if options.or_resume:
        options = or_resumed(options)
    study = (prepare if options.resume is None else prepare_resumed)(options, console)

    from model.system.signals import take_sigterm_back
    from model.system.terminal import say
    from tune.cluster.cluster import Cluster
    from tune.cluster.ray_watch import RayWatch
    from tune.cluster.resources import (
        Concurrency,
        TrialResources,
        default_gpus,
        num_concurrent,
        with_memory,
    )
    from tune.cluster.trial_memory import TrialMemory, check_gpu_memory
    from tune.job.finalists import confirm
    from tune.job.finish import already_finished, finish, resume_command, show_finished
    from tune.job.plan import print_plan
    from tune.job.search import done_before, found_before, is_spent, search
    from tune.job.study_json import study_file
    from tune.planning.estimate import Estimate
    from tune.planning.simulation import NOTHING_SPENT
    from tune.records.history import History, check_no_driver, records_so_far
    from tune.records.run_folder import RunFolder, existing_parent
    from tune.storage.mirror import Mirror
    from tune.trials.trainable import trainable_for

    # Also where its time was not all used: what the finalists need was kept free.
    if study.earlier and already_finished(study.earlier) and not study.extended:
        # Read, not opened: what has ended may be a copy that cannot be written to.
        records = records_so_far(study.earlier.history_file)
        found = found_before(study, study.earlier, records)
        return show_finished(study.earlier, found, console)
    if study.earlier and not options.dry_run:
        check_no_driver(study.earlier.history_file)
    with Cluster(options.address) as cluster:
        nodes = cluster.nodes()
        cluster.check_storage(study.settings.storage or str(existing_parent(study.run_path)))
        gpus = default_gpus(nodes) if options.gpus_per_trial is None else options.gpus_per_trial
        need = TrialResources(cpus=options.cpus_per_trial, gpus=gpus)
        concurrent = num_concurrent(nodes, need, options.max_concurrent)
        if not options.dry_run:
            cluster.start_soon()  # all that can be checked without it is checked
        console.print("measuring how fast a trial trains here …", highlight=False)
        machine = cluster.measure(
            need,
            precision=study.space.base.precision,
            largest_hidden_size=max(study.space.values("hidden_size")),
        )
        estimate, unmeasured = None, ""
        if isinstance(machine, str):
            unmeasured = machine
        else:
            memory = TrialMemory.of(
                study.space, study.prepared, process_bytes=machine.process_bytes
            )
            if machine.free_gpu_bytes is not None and not cluster.address:
                check_gpu_memory(study.space, memory, machine.free_gpu_bytes)
            need = with_memory(study.space, need, memory, nodes)
            concurrent = num_concurrent(nodes, need, options.max_concurrent)
            before = done_before(study.earlier) if study.earlier else NOTHING_SPENT
            estimate = Estimate(study, machine.speed, concurrent, before)
        if study.settings.sampler == AUTO:
            settings = dataclasses.replace(study.settings, sampler=default_sampler(concurrent))
            study = dataclasses.replace(study, settings=settings)
        print_plan(study, nodes, need, concurrent, estimate, console, unmeasured=unmeasured)
        if options.dry_run:
            return 0
        folder = study.earlier or RunFolder.create(
            study.run_path, study_file(study, None, estimate)
        )

        def command() -> str:
            return resume_command(folder)

        def join_ray(watch: RayWatch) -> None:
            cluster.start()
            take_sigterm_back()
            watch.start(is_local=not cluster.address)

        with (
            naming_how_to_resume(folder.path, command),
            History(folder.history_file) as history,
            Mirror(
                folder.path,
                study.mirror_root,
                text=study.corpus.text,
                say=functools.partial(say, console),
            ) as mirror,
            RayWatch(command=command) as watch,
        ):
            at_once = Concurrency(cluster.nodes, need, options.max_concurrent)
            result = found_before(study, folder, history.records)
            if study.earlier:
                folder.write_study(study_file(study, None, estimate))
            if not is_spent(study, result):
                join_ray(watch)
                trainable = trainable_for(study.prepared, need)
                result = search(study, folder, history, trainable, at_once, estimate, console)
            if study.wants_finalists and not result.interrupted:
                join_ray(watch)
                result = confirm(study, folder, result, need, at_once, console)
            return finish(study, folder, result, estimate, console, may_delete=mirror.may_delete)


@contextmanager
def naming_how_to_resume(location: object, command: Callable[[], str]) -> Iterator[None]:
    """Say what goes on with the run when something outside of it ends it.

    Args:
        location: Where the run writes.
        command: Returns the command line that goes on.

    Raises:
        ExternalFault: A file could not be written.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"go on: {command()}", file=sys.stderr)
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, ExternalFault) else unwritable(error)
        if reason is None:
            if not isinstance(error, ConfigError):  # not a mistake of the user's: ours
                print(f"go on: {command()}", file=sys.stderr)
            raise
        if not isinstance(error, ExternalFault):
            reason = f"a run must be able to write its files: {location}: {reason}"
        raise ExternalFault(f"{reason}; go on: {command()}") from error
