# PYTHON_ARGCOMPLETE_OK
"""Runs a hyperparameter search: `python -m tune.run --space full`."""

import sys

from model.system.ending import end, leave_threads
from model.system.terminal import complain, end_on_signals, end_with_stdin, steady_output


def main(arguments: list[str] | None = None) -> int:
    """Run a search from the command line and return the exit code.

    0 is done, 1 nothing was found, 2 the user's mistake, 75 cut off by a full disk or a lost
    Ray, 128 and the number of a signal interrupted: 130 by Ctrl-C.
    """
    from model.system.command_line import begin_command
    from tune.job.options import parse_options

    begin_command()
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    with steady_output():
        on_signal = end_on_signals()  # before the imports, which take a second
        end_with_stdin(on_signal)
        try:
            from model.errors import EXTERNAL_FAULT, CheckpointError, ConfigError, ExternalFault
            from tune.cluster.ray_environment import prepare_ray_environment

            try:
                prepare_ray_environment(options.address)
            except ConfigError as error:
                complain("tune.run", error)
                return 2

            from rich.console import Console

            from tune.cluster.cluster import Cluster
            from tune.job.resume import prepared_study
            from tune.monitoring.json_events import JsonConsole

            as_json = options.log_format == "json"
            console = JsonConsole() if as_json else Console(quiet=options.quiet)

            with Cluster(options.address) as cluster:

                def start() -> None:
                    cluster.check_local_trial(options.cpus_per_trial, options.gpus_per_trial)
                    if not options.dry_run:
                        cluster.start_local_soon()

                # A mistake is told before the local Ray is ended, which takes seconds.
                try:
                    try:
                        study = prepared_study(options, console, start, cluster.nodes)
                    except OSError as error:  # too long, say, or forbidden
                        rule = f"a path must be usable: {error.filename}: {error.strerror}"
                        raise ConfigError(rule) from error

                    # torch is imported after the checks, so that a mistake is told at once.
                    from tune.job.job import run_study
                    from tune.job.notify import notified
                    from tune.records.run_folder import RunFolder

                    def searched() -> int:
                        code = run_study(study, options, cluster, console)
                        cluster.close()
                        return code

                    return notified(options, RunFolder(study.run_path), searched)
                except (ConfigError, CheckpointError) as error:
                    complain("tune.run", error)
                    return 2
                except ExternalFault as error:
                    complain("tune.run", error)
                    return EXTERNAL_FAULT
        except KeyboardInterrupt:
            leave_threads()  # of a Ray that is starting, say
            return on_signal.exit_code()
        finally:
            on_signal.release()


if __name__ == "__main__":
    end(main())
