# PYTHON_ARGCOMPLETE_OK
"""Writes text from a checkpoint: `python -m model.generate CHECKPOINT`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model.system.command_line import DEVICES, OneLineParser, ended_quietly
from model.system.terminal import complain, printable

if TYPE_CHECKING:
    from model.generation.interactive import Conversation

_EXAMPLES = """examples:
  python -m model.generate results/ten/checkpoints/01 --chars 2000
  python -m model.generate results/ten/checkpoints/01 --prime "The " --temperature 0.5
  python -m model.generate results/ten/checkpoints/01 --interactive
"""


def main(arguments: list[str] | None = None) -> int:
    """Write text from a checkpoint and return the exit code."""
    options = _parser().parse_args(arguments)
    return ended_quietly(lambda: _write(options))


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m model.generate",
        description="Let a trained LSTM write text.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint folder")
    what = parser.add_argument_group("what to write")
    what.add_argument("--chars", type=int, default=1_000, metavar="N", help="length (1000)")
    what.add_argument("--passages", type=int, default=1, metavar="N", help="in one batch (1)")
    what.add_argument("--prime", default="", metavar="TEXT", help="what the text begins with")
    what.add_argument(
        "--interactive",
        action="store_true",
        help="ask for beginnings and continue them, until Ctrl-D; /help lists its commands",
    )
    draws = parser.add_argument_group("how to draw")
    how = draws.add_mutually_exclusive_group()
    how.add_argument("--greedy", action="store_true", help="always the most probable symbol")
    how.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="0 is greedy (what the checkpoint's search found most like its book, else 0.8)",
    )
    draws.add_argument("--top-k", type=int, metavar="K", help="among the K most probable")
    draws.add_argument("--top-p", type=float, metavar="P", help="among the most probable up to P")
    draws.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draws (0)")
    parser.add_argument(
        "--device", choices=DEVICES, default="cpu", help="where the network writes (cpu)"
    )
    return parser


def _write(options: argparse.Namespace) -> int:
    from model.errors import CheckpointError, ConfigError
    from model.system.devices import memory_for

    try:
        with memory_for("the network and its passages"):
            written = _written(options)
    except (ConfigError, CheckpointError) as error:
        complain("model.generate", error)
        return 2
    for number, passage in enumerate(written, start=1):
        if options.passages > 1:
            print(f"--- {number}")
        text = options.prime + passage
        print(printable(text) if sys.stdout.isatty() else text)  # a file gets the text as it is
    return 0


def _written(options: argparse.Namespace) -> list[str]:
    """Return the passages; none after a conversation."""
    from model.generation.decoding import SamplingOptions, write_passages
    from model.generation.interactive import Conversation
    from model.generation.temperature import default_temperature
    from model.system.devices import named_device
    from model.training.checkpoint import load_checkpoint

    model, meta = load_checkpoint(options.checkpoint, named_device(options.device))
    temperature = options.temperature
    if temperature is None:
        temperature = default_temperature(options.checkpoint, meta.config)
    sampling = SamplingOptions(
        temperature=0.0 if options.greedy else temperature,
        top_k=options.top_k,
        top_p=options.top_p,
    )
    if options.interactive:
        _converse(
            Conversation(
                model=model,
                vocabulary=meta.vocabulary,
                cleaning=meta.config.cleaning,
                options=sampling,
                seed=options.seed,
                num_chars=options.chars,
            )
        )
        return []
    return write_passages(
        model,
        meta.vocabulary,
        prime=options.prime,
        cleaning=meta.config.cleaning,
        num_chars=options.chars,
        num_passages=options.passages,
        options=sampling,
        seed=options.seed,
    )


def _converse(conversation: "Conversation") -> None:
    """Talk on the terminal, or with whatever is piped in."""
    import contextlib
    import io

    from model.generation.interactive import converse

    on_terminal = sys.stdout.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        # A line that is no UTF-8 is a mistake to be told, as a prime of the command line is.
        sys.stdin.reconfigure(errors="surrogateescape")
    prompt = ""
    if sys.stdin.isatty():
        prompt = "> "
        print("Type a beginning; an empty line continues, /help lists commands, Ctrl-D ends.")
        with contextlib.suppress(ImportError):  # not on every system
            import readline  # noqa: F401 - input() edits lines where it is imported

    def say(text: str) -> None:
        print(printable(text) if on_terminal else text, end="", flush=True)

    converse(conversation, lambda: input(prompt), say)


if __name__ == "__main__":
    sys.exit(main())
