# PYTHON_ARGCOMPLETE_OK
"""Runs a hyperparameter search: `python -m tune.run --space full`."""

import sys

from model.system.ending import end, leave_threads
from model.system.terminal import end_on_signals, end_with_stdin, steady_output


def main(arguments: list[str] | None = None) -> int:
    """Run a search from the command line and return the exit code.

    0 is done, 1 nothing was found, 2 the user's mistake, 75 cut off by a full disk or a lost
    Ray, 128 and the number of a signal interrupted: 130 by Ctrl-C.
    """
    on_signal = end_on_signals()  # before the imports, which take a second
    try:
        from model.system.command_line import begin_command
        from tune.job.options import parse_options

        begin_command()
        options = parse_options(sys.argv[1:] if arguments is None else arguments)
        with steady_output():
            end_with_stdin(on_signal)
            from tune.job.command import search

            return search(options)
    except KeyboardInterrupt:
        leave_threads()  # of a Ray that is starting, say
        return on_signal.exit_code()
    finally:
        on_signal.release()


if __name__ == "__main__":
    end(main())
