"""SIGTERM as Ctrl-C: schedulers of jobs send the one, people the other."""

import signal


def end_on_sigterm() -> None:
    """Have SIGTERM raise KeyboardInterrupt, as SIGINT does.

    To be called again after Ray has started: ray 2.60 has SIGTERM exit with code 15.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
