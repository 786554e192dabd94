"""A search from the command line, from its first import to its exit code.

Imports come late: Ray's after its environment is prepared, slow ones after the checks, so that a
mistake is told at once.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from model.errors import CheckpointError, ConfigError, ExternalFault, exit_code_of
from model.system.terminal import complain

if TYPE_CHECKING:
    from rich.console import Console

    from tune.cluster.cluster import Cluster
    from tune.planning.study import StudyOptions


def search(options: "StudyOptions") -> int:
    """Search, and return the exit code; an error of ours is told in one line."""
    return _told(lambda: _begin(options))


def _told(run: Callable[[], int]) -> int:
    try:
        return run()
    except (ConfigError, CheckpointError, ExternalFault) as error:
        complain("tune.run", error)
        return exit_code_of(error)


def _begin(options: "StudyOptions") -> int:
    from tune.cluster.ray_environment import prepare_ray_environment

    prepare_ray_environment(options.address)

    from rich.console import Console

    from tune.cluster.cluster import Cluster
    from tune.monitoring.json_events import JsonConsole

    console = JsonConsole() if options.log_format == "json" else Console(quiet=options.quiet)
    with Cluster(options.address) as cluster:
        # A mistake is told before the local Ray is ended, which takes seconds.
        return _told(lambda: _search(cluster, options, console))


def _search(cluster: "Cluster", options: "StudyOptions", console: "Console") -> int:
    from tune.job.resume import prepared_study

    def start() -> None:
        cluster.check_local_trial(options.cpus_per_trial, options.gpus_per_trial)
        if not options.dry_run:
            cluster.start_local_soon()

    try:
        study = prepared_study(options, console, start, cluster.nodes)
    except OSError as error:  # too long, say, or forbidden
        rule = f"a path must be usable: {error.filename}: {error.strerror}"
        raise ConfigError(rule) from error

    # These import torch.
    from tune.job.job import run_study
    from tune.job.notify import notified
    from tune.records.run_folder import RunFolder

    def searched() -> int:
        code = run_study(study, options, cluster, console)
        cluster.close()
        return code

    return notified(options, RunFolder(study.run_path), searched)
