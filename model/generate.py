# PYTHON_ARGCOMPLETE_OK
"""Writes text from a checkpoint: `python -m model.generate CHECKPOINT`."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import ConfigError
from model.system.command_line import DEVICES, OneLineParser, add_cell_option, ended_quietly
from model.system.ending import end
from model.system.terminal import printable

if TYPE_CHECKING:
    from model.generation.decoding import SamplingOptions
    from model.generation.ending import Piece
    from model.generation.interactive import Conversation
    from model.training.predictor import LoadedNetwork

FLUSH_SECONDS = 0.05
"""Written text waits no longer than this plus one symbol before it is shown."""
_EXAMPLES = """examples:
  python -m model.generate results/ten/checkpoints/01 --chars 2000
  python -m model.generate results/ten/checkpoints/01 --prime "The " --temperature 0.5
  python -m model.generate results/ten/checkpoints/01 --per-line --passages 20
  python -m model.generate results/ten/checkpoints/01 --interactive
"""


def main(arguments: list[str] | None = None) -> int:
    """Write text from a checkpoint and return the exit code."""
    options = _parser().parse_args(arguments)
    return ended_quietly("model.generate", lambda: _write(options))


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m model.generate",
        description="Let a trained LSTM write text.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="the folder of a checkpoint or predictor",
    )
    what = parser.add_argument_group("what to write")
    what.add_argument(
        "--chars", type=int, default=1_000, metavar="N", help="maximum length in characters (1000)"
    )
    what.add_argument("--passages", type=int, default=1, metavar="N", help="number of them (1)")
    what.add_argument("--prime", default="", metavar="TEXT", help="beginning of the text")
    what.add_argument("--stop", metavar="STRING", help="end a passage after this string")
    alone = what.add_mutually_exclusive_group()
    alone.add_argument(
        "--separator",
        metavar="STRING",
        help="passages start after this string and end after it; empty ones are dropped",
    )
    alone.add_argument(
        "--per-line",
        action="store_const",
        dest="separator",
        const="\n",
        help="the same with a line feed: names, tweets",
    )
    what.add_argument(
        "--interactive",
        action="store_true",
        help="ask for beginnings and continue them, until Ctrl-D; /help lists its commands",
    )
    draws = parser.add_argument_group("how to sample")
    how = draws.add_mutually_exclusive_group()
    how.add_argument("--greedy", action="store_true", help="always the most probable symbol")
    how.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="0 is greedy (the one at which its search found it most like its book, else 0.8)",
    )
    draws.add_argument("--top-k", type=int, metavar="K", help="only the K most probable symbols")
    draws.add_argument(
        "--top-p", type=float, metavar="P", help="only the most probable symbols, up to P in total"
    )
    draws.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (0)")
    add_cell_option(parser)
    parser.add_argument(
        "--device", choices=DEVICES, default="cpu", help="device of the network (cpu)"
    )
    return parser


def _write(options: argparse.Namespace) -> int:
    from model.generation.decoding import SamplingOptions
    from model.generation.interactive import Conversation
    from model.generation.temperature import default_temperature
    from model.system.devices import memory_for, named_device
    from model.training.named_cells import execute_cells
    from model.training.predictor import load_network

    if options.interactive and options.separator is not None:
        raise ConfigError("--interactive cannot go with --per-line or --separator; see --stop")
    with memory_for("the network and its passages"):
        execute_cells(options.cell)
        loaded = load_network(options.checkpoint, named_device(options.device))
        temperature = options.temperature
        if temperature is None:
            temperature = default_temperature(options.checkpoint, loaded.config)
        sampling = SamplingOptions(
            temperature=0.0 if options.greedy else temperature,
            top_k=options.top_k,
            top_p=options.top_p,
        )
        if options.interactive:
            _converse(
                Conversation(
                    model=loaded.network,
                    vocabulary=loaded.vocabulary,
                    cleaning=loaded.config.cleaning,
                    options=sampling,
                    seed=options.seed,
                    num_chars=options.chars,
                    stop=options.stop,
                )
            )
        else:
            pieces = _pieces(options, loaded, sampling)  # finds mistakes before it is printed
            _print(pieces, options, printable if sys.stdout.isatty() else str)
    return 0


def _print(
    pieces: "Iterator[Piece]", options: argparse.Namespace, fit: Callable[[str], str]
) -> None:
    """Print passages; a file gets the text unchanged, with `?` for what its encoding lacks."""
    ends_in_line = options.stop is not None or options.separator is not None
    is_new, flushed, last = True, time.monotonic(), ""
    for piece in pieces:
        if is_new:
            if options.passages > 1 and options.separator is None:
                print(f"--- {piece.passage + 1}")
            print(fit(options.prime), end="")
            last = ""
        print(fit(piece.text), end="")
        last = piece.text[-1:] or last
        is_new = piece.is_last
        if is_new and not (ends_in_line and last == "\n"):
            print()
        if time.monotonic() - flushed > FLUSH_SECONDS:
            sys.stdout.flush()
            flushed = time.monotonic()


def _pieces(
    options: argparse.Namespace, loaded: "LoadedNetwork", sampling: "SamplingOptions"
) -> "Iterator[Piece]":
    """Return what is written, passage by passage."""
    from model.generation.decoding import stream_passages
    from model.generation.ending import Bounds

    pieces = stream_passages(
        loaded.network,
        loaded.vocabulary,
        prime=options.prime,
        cleaning=loaded.config.cleaning,
        bounds=Bounds(num_chars=options.chars, stop=options.stop, separator=options.separator),
        num_passages=options.passages,
        options=sampling,
        seed=options.seed,
    )
    if options.passages == 1:  # print it while it is written
        return pieces
    return iter(sorted(pieces, key=lambda piece: piece.passage))


def _converse(conversation: "Conversation") -> None:
    """Converse on the terminal, or with piped input."""
    import contextlib
    import io

    from model.generation.interactive import converse

    on_terminal = sys.stdout.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        # A line that is not UTF-8 is reported as a mistake, like such a prime on the command line.
        sys.stdin.reconfigure(errors="surrogateescape")
    prompt = ""
    if sys.stdin.isatty():
        prompt = "> "
        print("Type a beginning; an empty line continues, /help lists commands, Ctrl-D ends.")
        with contextlib.suppress(ImportError):  # not on every system
            import readline  # noqa: F401 - once imported, input() can edit lines

    def say(text: str) -> None:
        print(printable(text) if on_terminal else text, end="", flush=True)

    converse(conversation, lambda: input(prompt), say)


if __name__ == "__main__":
    end(main())
