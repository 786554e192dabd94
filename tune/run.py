# PYTHON_ARGCOMPLETE_OK
"""Runs a hyperparameter search: `python -m tune.run --space full`."""

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run a search from the command line and return the exit code.

    0 is done, 1 nothing was found, 2 the user's mistake, 75 cut off by a full disk or a lost
    Ray, 130 interrupted.
    """
    from tune.job.options import parse_options

    options = parse_options(sys.argv[1:] if arguments is None else arguments)

    from tune.cluster.ray_environment import prepare_ray_environment

    prepare_ray_environment(options.address)

    from rich.console import Console

    from model.errors import EXTERNAL_FAULT, CheckpointError, ConfigError, ExternalFault
    from model.system.terminal import end_on_signals
    from tune.job.resume import prepared_study
    from tune.monitoring.json_events import JsonConsole

    as_json = options.log_format == "json"
    console = JsonConsole() if as_json else Console(quiet=options.quiet)

    try:
        end_on_signals()
        study = prepared_study(options, console)

        # Ray and torch are imported after the checks, so that a mistake is told at once.
        from tune.job.job import run_study

        return run_study(study, options, console)
    except (ConfigError, CheckpointError) as error:
        print(f"tune.run: {error}", file=sys.stderr)
        return 2
    except ExternalFault as error:
        print(f"tune.run: {error}", file=sys.stderr)
        return EXTERNAL_FAULT
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
