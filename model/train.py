# PYTHON_ARGCOMPLETE_OK
"""Trains one configuration, without Ray: `python -m model.train --corpus FILE --epochs 10`.

Every field of TrialConfig is a flag.
"""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from model.system.command_line import DEVICES, OneLineParser, ended_quietly
from model.system.terminal import complain, printable

if TYPE_CHECKING:
    from model.training.trainer import Trainer

_EXAMPLES = """examples:
  python -m model.train --corpus book.txt --epochs 10 --checkpoint mine
  python -m model.train --corpus book.txt --config results/ten/best.json --epochs 40
  python -m model.train --corpus book.txt --epochs 10 --checkpoint mine --resume
"""


def main(arguments: list[str] | None = None) -> int:
    """Train one configuration from the command line and return the exit code."""
    from model.errors import CheckpointError, ConfigError, TrainingDiverged

    options = _parser().parse_args(arguments)
    try:
        return ended_quietly(lambda: _train(options))
    except (ConfigError, CheckpointError) as error:
        complain("model.train", error)
        return 2
    except TrainingDiverged as error:
        complain("model.train", error)
        return 1


def _parser() -> OneLineParser:
    from model.config import TrialConfig

    parser = OneLineParser(
        prog="python -m model.train",
        description="Train one LSTM; the best epoch's network is kept as a checkpoint.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("--corpus", metavar="NAME|PATH|URL", help="as for tune.run")
    parser.add_argument("--keep-front-matter", action="store_true", help="as for tune.run")
    parser.add_argument("--config", type=Path, metavar="JSON", help="a config, e.g. best.json")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", help="written after each epoch"
    )
    parser.add_argument("--resume", action="store_true", help="continue from --checkpoint")
    parser.add_argument(
        "--device", choices=DEVICES, help="what it trains on (a GPU where there is one)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (all cores)")
    group = parser.add_argument_group("configuration (flags win over --config)")
    for field in dataclasses.fields(TrialConfig):
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=field.type,
            metavar=str(getattr(field.type, "__name__", "")).upper(),
            help=f"{field.metadata['help']} ({field.default})",
        )
    return parser


def _train(options: argparse.Namespace) -> int:
    import torch

    from model.config import FIELD_NAMES, TrialConfig
    from model.errors import ConfigError
    from model.scoring.objective import prepare_corpus
    from model.system.devices import MAX_THREADS, memory_for, named_device, use_threads
    from model.system.limits import num_cpus
    from model.text.corpus import resolve_corpus
    from model.text.words import CLAUSES, has_no_spaces_between_words
    from model.training.checkpoint import check_new
    from model.training.trainer import Trainer

    folder, threads = options.checkpoint, options.threads
    base = TrialConfig.from_file(options.config) if options.config else TrialConfig()
    named = {name: getattr(options, name) for name in FIELD_NAMES}
    flags = {name: value for name, value in named.items() if value is not None}
    config = TrialConfig.from_dict({**base.to_dict(), **flags})
    device = named_device(options.device)
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"threads must be at least 1 and at most {MAX_THREADS}, got {threads}")
    use_threads(threads or min(torch.get_num_threads(), num_cpus()))
    if options.resume and folder is None:
        raise ConfigError("--resume needs --checkpoint, the folder to go on from")
    if folder is not None and not options.resume:
        check_new(folder)
    corpus = resolve_corpus(options.corpus, keep_front_matter=options.keep_front_matter)
    print(printable(f"corpus: {corpus.name}: {corpus.source}"), flush=True)
    if config.unit == "word" and has_no_spaces_between_words(corpus.text):
        print(f"words: {CLAUSES}", flush=True)
    prepared = prepare_corpus(corpus.text, [config.cleaning])
    if prepared.resemblance is not None and prepared.resemblance.warning:
        print(f"warning: {prepared.resemblance.warning}", flush=True)
    with memory_for("hidden_size, embedding_dim, num_layers and batch_size"):
        trainer = Trainer(config, prepared.streams(config), device=device)
        if options.resume:
            trainer.restore(folder)
        print(f"{trainer.model.num_parameters():,} parameters, {trainer.precision} on {device}")
        _run(trainer, folder)
    return 0


def _run(trainer: "Trainer", folder: Path | None) -> None:
    """Train to the end, and tell and keep each epoch."""
    for report in trainer.epochs():
        print(
            f"epoch {report.epoch:>3}: training {report.train_nats_per_char:.4f} nats, "
            f"validation {report.val_nats_per_char:.4f} nats, "
            f"{report.val_bits_per_char:.4f} restored bits per character, "
            f"{report.elapsed_seconds:.1f} s",
            flush=True,
        )
        if folder is not None:
            trainer.save(folder)
    best = trainer.best_report
    assert best is not None
    print(f"best: {best.val_bits_per_char:.4f} bits per character after epoch {best.epoch}")


if __name__ == "__main__":
    sys.exit(main())
