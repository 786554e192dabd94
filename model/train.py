# PYTHON_ARGCOMPLETE_OK
"""Trains one configuration, without Ray: `python -m model.train --corpus FILE --epochs 10`.

Every field of TrialConfig is a flag.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from model.errors import ConfigError, TrainingDiverged
from model.system.command_line import DEVICES, OneLineParser, ended_quietly
from model.system.ending import end
from model.system.files import expanded, resolved
from model.system.terminal import complain, printable
from model.text.reading import UTF_8, Reading

if TYPE_CHECKING:
    import torch

    from model.config import TrialConfig
    from model.text.streams import EncodedCorpus
    from model.training.checkpoint import CheckpointMeta
    from model.training.trainer import Trainer

_EXAMPLES = """examples:
  python -m model.train --corpus book.txt --epochs 10 --checkpoint mine
  python -m model.train --corpus book.txt --config results/ten/best.json --epochs 40
  python -m model.train --checkpoint mine --resume
  python -m model.train --corpus letters.txt --init mine --epochs 3 --checkpoint finer
"""


def main(arguments: list[str] | None = None) -> int:
    """Train one configuration from the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return ended_quietly("model.train", lambda: _train(options))
    except TrainingDiverged as error:
        complain("model.train", error)
        return 1


def _parser() -> OneLineParser:
    from model.config import TrialConfig

    parser = OneLineParser(
        prog="python -m model.train",
        description="Train one LSTM; the best epoch's network is saved as a checkpoint.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "--corpus", nargs="+", metavar="TEXT", help="as for tune.run (--resume: the checkpoint's)"
    )
    parser.add_argument("--validation", metavar="TEXT", help="as for tune.run")
    parser.add_argument("--test", metavar="TEXT", help="as for tune.run")
    parser.add_argument("--keep-front-matter", action="store_true", help="as for tune.run")
    parser.add_argument("--encoding", default=UTF_8, metavar="NAME", help="as for tune.run")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="JSON",
        help="a config, e.g. best.json; another machine's precision and kernel become auto, and "
        "so does bfloat16 on a GPU",
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", help="written after each report"
    )
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument(
        "--resume",
        action="store_true",
        help="continue from --checkpoint, with its settings, and its text if that can be found",
    )
    begin.add_argument(
        "--init",
        type=Path,
        metavar="CHECKPOINT",
        help="start with its weights; you may change its settings and give another text "
        "of its characters",
    )
    parser.add_argument(
        "--device", choices=DEVICES, help="device to train on (a GPU if there is one)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (all cores)")
    group = parser.add_argument_group("configuration (flags override --config)")
    for field in dataclasses.fields(TrialConfig):
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=_said_bool if field.type is bool else field.type,
            metavar=str(getattr(field.type, "__name__", "")).upper(),
            help=f"{field.metadata['help']} ({field.default})",
        )
    return parser


def _said_bool(text: str) -> bool:
    """Return the value of a boolean flag.

    Raises:
        argparse.ArgumentTypeError: It is neither true nor false.
    """
    from model.config import true_or_false

    try:
        return true_or_false(text)
    except ValueError as error:  # argparse would only name the type
        raise argparse.ArgumentTypeError(str(error)) from error


def _train(options: argparse.Namespace) -> int:
    import torch

    from model.network.precision import resolve_arithmetic
    from model.system.devices import MAX_THREADS, memory_for, named_device, use_threads
    from model.system.limits import num_cpus
    from model.training.checkpoint import check_new, check_writable, load_checkpoint
    from model.training.named_cells import execute_cells
    from model.training.trainer import Trainer
    from model.training.warm_start import check_shape, origin_of

    if options.checkpoint is not None:
        expanded(options.checkpoint)  # raises for a URI
    if options.cell is not None:
        (options.cell,) = execute_cells([options.cell])
    folder, threads = options.checkpoint, options.threads
    if not options.init and not options.resume:
        _config(options, None)  # reports a mistake in a flag first
    device = named_device(options.device)
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"threads must be at least 1 and at most {MAX_THREADS}, got {threads}")
    use_threads(threads or min(torch.get_num_threads(), num_cpus()))
    if options.resume and folder is None:
        raise ConfigError("--resume needs --checkpoint, the folder from which to continue")
    if folder is not None and not options.resume:
        check_new(folder)
    source = folder if options.resume else options.init
    with memory_for(f"the weights in {source}"):
        network, meta = load_checkpoint(source, device) if source else (None, None)
    if options.resume:
        folder = resolved(folder)  # a link would be replaced, and not a second time
        check_writable(folder)
    config = _config(options, meta)
    ours = _for_this_machine(config, options, device)
    if not options.resume:
        config = ours
    if options.init and meta:
        check_shape(config, meta, source)
    streams, location = _streams(options, config, meta)
    arithmetic = resolve_arithmetic(ours, device)  # measured last: mistakes are told at once
    with memory_for("hidden_size, embedding_dim, num_layers and batch_size"):
        trainer = Trainer(config, streams, device=device, arithmetic=arithmetic, location=location)
        if options.resume:
            trainer.restore(source)
        elif network and meta:
            trainer.begin_with(network, origin_of(source, meta))
        _tell(trainer)
        _run(trainer, folder)
    return 0


def _config(options: argparse.Namespace, meta: "CheckpointMeta | None") -> "TrialConfig":
    """Return the settings: flags, else those of --config, the checkpoint's or the defaults."""
    from model.config import FIELD_NAMES, TrialConfig

    base = meta.config if meta else TrialConfig()
    if options.config:
        base = TrialConfig.from_file(options.config)
    named = {name: getattr(options, name) for name in FIELD_NAMES}
    flags = {name: value for name, value in named.items() if value is not None}
    return TrialConfig.from_dict({**base.to_dict(), **flags})


def _for_this_machine(
    config: "TrialConfig", options: argparse.Namespace, device: "torch.device"
) -> "TrialConfig":
    """Return the settings with "auto" for a file's arithmetic that is another machine's."""
    from model.config import ARITHMETIC_FIELDS
    from model.network.precision import for_this_machine

    named = [name for name in ARITHMETIC_FIELDS if getattr(options, name) is not None]
    ours = for_this_machine(config, device, named=named)
    pairs = [(name, getattr(config, name)) for name in ARITHMETIC_FIELDS]
    changed = {name: theirs for name, theirs in pairs if getattr(ours, name) != theirs}
    if changed:
        names, theirs = " and ".join(changed), " and ".join(changed.values())
        file = options.config or options.init or options.checkpoint
        print(printable(f"{names}: auto, because {file} has another machine's, {theirs}"))
    return ours


def _streams(
    options: argparse.Namespace, config: "TrialConfig", meta: "CheckpointMeta | None"
) -> "tuple[EncodedCorpus, str | None]":
    """Return the named text, or the checkpoint's, and where it can be found again."""
    from model.scoring.objective import prepare_corpus
    from model.text.corpus import resolve_corpus
    from model.text.held_out import with_named_held_out, with_short_held_out
    from model.text.streams import encode_in
    from model.text.words import CLAUSES, NO_WORDS, has_no_spaces_between_words
    from model.training.warm_start import text_of

    reading = Reading(keep_front_matter=options.keep_front_matter, encoding=options.encoding)
    if options.corpus is None and meta:
        source = options.checkpoint if options.resume else options.init
        corpus = text_of(meta, source, reading=reading)
    else:
        corpus = resolve_corpus(options.corpus, reading)
    corpus = with_named_held_out(corpus, reading, validation=options.validation, test=options.test)
    if config.reports_per_epoch > 1:  # as in a search
        corpus = with_short_held_out(corpus)
    print(printable(f"corpus: {corpus.name}: {corpus.source}"), flush=True)
    if config.unit == "word" and has_no_spaces_between_words(corpus.text):
        print(f"words: {CLAUSES}", flush=True)
    prepared = prepare_corpus(
        corpus.text,
        [config.cleaning],
        lengths=corpus.lengths,
        min_char_count=config.min_char_count,
    )
    if meta and (options.init or meta.origin):  # its symbols may come from an earlier text
        streams = encode_in(prepared.encoded[config.cleaning], meta.vocabulary)
    else:
        streams = prepared.streams(config)
    if config.unit == "word" and len(streams.vocabulary) == 1:
        print(f"warning: {NO_WORDS}", flush=True)
    if prepared.resemblance is not None and prepared.resemblance.warning:
        print(f"warning: {prepared.resemblance.warning}", flush=True)
    return streams, corpus.path_or_name


def _tell(trainer: "Trainer") -> None:
    """Print what is trained, and where it started."""
    print(
        f"{trainer.model.num_parameters():,} parameters, {trainer.arithmetic} on {trainer.device}"
    )
    if trainer.origin is not None:
        origin = trainer.origin
        print(
            f"started with the weights of {printable(origin.checkpoint)}: epoch {origin.epoch:g}, "
            f"{origin.val_bits_per_char:.4f} restored bits per character on its own text"
        )
    if trainer.last_report is not None:
        print(f"continues after epoch {trainer.last_report.epoch:g} of {trainer.config.epochs:g}")


def _run(trainer: "Trainer", folder: Path | None) -> None:
    """Train to the end; print and save each report."""
    for report in trainer.reports():
        print(
            f"epoch {report.epoch:>3g}: training {report.train_nats_per_char:.4f} nats, "
            f"validation {report.val_nats_per_char:.4f} nats, "
            f"{report.val_bits_per_char:.4f} restored bits per character, "
            f"{report.elapsed_seconds:.1f} s",
            flush=True,
        )
        if folder is not None:
            trainer.save(folder)
    best = trainer.best_report
    assert best is not None
    print(f"best: {best.val_bits_per_char:.4f} bits per character after epoch {best.epoch:g}")


if __name__ == "__main__":
    end(main())
