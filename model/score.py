# PYTHON_ARGCOMPLETE_OK
"""Scores a text with a checkpoint, predictor or n-gram: `python -m model.score CHECKPOINT`."""

import argparse
import dataclasses
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import ConfigError
from model.system.command_line import DEVICES, OneLineParser, add_cell_option, ended_quietly
from model.system.ending import end
from model.system.terminal import complain, printable
from model.text.reading import UTF_8, Reading

if TYPE_CHECKING:
    from model.scoring.ngram_cache import NgramCache
    from model.scoring.scored_model import ScoredModel
    from model.text.corpus import Corpus
    from model.training.predictor import LoadedNetwork

NGRAM = "ngram"
_NO_CACHE = "none"
_EXAMPLES = """examples:
  python -m model.score results/ten/predictor --text book.txt --part test
  python -m model.score results/ten/checkpoints/01 --text book.txt --windows 64x256
  python -m model.score ngram --text book.txt --part validation --cache 4-12x20
  python -m model.score ngram --train book.txt --text sequel.txt --unknown spell
"""
_TITLES = {
    "restored_bits_per_raw_char": "restored bits per raw character",
    "restoration_bits_per_char": "of which to restore the raw text",
    "bits_per_raw_char": "bits per raw character",
    "bits_per_byte": "bits per byte",
    "bits_per_own_char": "bits per own character",
    "nats_per_own_char": "nats per own character",
    "perplexity_per_word": "perplexity per word",
    "nats_per_symbol": "nats per symbol",
    "bits_per_symbol": "bits per symbol",
    "standard_error_nats": "standard error, nats",
}


def main(arguments: list[str] | None = None) -> int:
    """Score a text and return the exit code."""
    options = _parser().parse_args(arguments)
    return ended_quietly("model.score", lambda: _score(options))


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m model.score",
        description="Score a text with a trained model: its bits and perplexity in usual units.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "model", metavar="MODEL", help=f"a checkpoint's or predictor's folder, or {NGRAM}"
    )
    parser.add_argument(
        "--text", required=True, metavar="TEXT", help="text to score: a corpus, a path or a URL"
    )
    parser.add_argument(
        "--part",
        choices=("whole", "validation", "test"),
        default="whole",
        help="part of the text: all, or a held-out tenth as a search splits it (whole)",
    )
    parser.add_argument(
        "--keep-front-matter", action="store_true", help="keep title and contents of a book"
    )
    parser.add_argument("--validation", metavar="TEXT", help="as for tune.run, with --part")
    parser.add_argument("--test", metavar="TEXT", help="as for tune.run, with --part")
    parser.add_argument("--encoding", default=UTF_8, metavar="NAME", help="as for tune.run")
    parser.add_argument(
        "--windows",
        metavar="NxLENGTH",
        help="score N random windows of LENGTH symbols, each without context, like nanoGPT",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the windows (0)")
    parser.add_argument(
        "--unknown",
        choices=("error", "spell"),
        default="error",
        help="characters that the model lacks: reject the text, or price each as a Unicode code "
        "point (error)",
    )
    parser.add_argument(
        "--cache",
        metavar="S-LxW",
        help=f"use a cache of contexts of S to L symbols and escape weight W, such as 4-12x20, "
        f"or {_NO_CACHE} (a predictor's own; otherwise {_NO_CACHE})",
    )
    ngram = parser.add_argument_group(f"for {NGRAM}, which is trained here")
    ngram.add_argument(
        "--train",
        metavar="TEXT",
        help="text to learn; default: the training part of --text, for a held-out --part",
    )
    ngram.add_argument("--cleaning", metavar="NAME", help="how its texts are cleaned (cased)")
    add_cell_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--device", choices=DEVICES, default="cpu", help="device of the network (cpu)"
    )
    return parser


def _score(options: argparse.Namespace) -> int:
    from model.system.devices import memory_for

    with memory_for("the model and the text"):
        values = _values(options)
    if options.json:
        print(json.dumps(values, indent=2))  # in ASCII, whatever a name contains
        return 0
    for name, value in values.items():
        title = _TITLES.get(name, name.removeprefix("num_").replace("_", " "))
        shown = f"{value:,}" if isinstance(value, int) else value
        if isinstance(value, float):
            shown = f"{value:.4f}" if value < 1e6 else f"{value:.4g}"
        print(printable(f"{title:<33}{'none' if value is None else shown}"))
    return 0


def _values(options: argparse.Namespace) -> dict[str, Any]:
    """Return what is printed: the model, the text and the figures.

    Raises:
        ConfigError: The first rule that is broken.
        CheckpointError: The model's folder is damaged.
    """
    from model.text.cleaning import RAW
    from model.text.corpus import resolve_corpus
    from model.text.held_out import with_named_held_out, with_short_held_out
    from model.text.streams import split_text

    # Mistakes are reported before a text is downloaded.
    windows, cache = _windows(options.windows), _cache(options.cache)
    _check(options)
    corpus = resolve_corpus(options.text, _reading(options))
    corpus = with_named_held_out(
        corpus, _reading(options), validation=options.validation, test=options.test
    )
    loaded = _loaded(options)
    if loaded is not None and options.cache is None:
        cache = loaded.cache
    before, text = "", str(corpus.text)
    if options.part != "whole":
        # As its trial was scored: a network that reported once per epoch, on a tenth of any text.
        if loaded is None or loaded.config.reports_per_epoch > 1:
            corpus = with_short_held_out(corpus)
        split = split_text(corpus.text, corpus.lengths)
        is_test = options.part == "test"
        before = split.train + split.validation if is_test else split.train
        text = split.test if is_test else split.validation
    model = _model(options, loaded, corpus, scored=text)
    if cache is not None:
        model = model.with_cache(cache)
    values: dict[str, Any] = {
        "model": model.description,
        "text": f"{corpus.source}, {options.part}",
    }
    if windows is None:
        values |= _passage_values(options, model, corpus, before, text)
        values["cache"] = cache and str(cache)
    else:
        values |= _window_values(model, text, *windows, seed=options.seed or 0)
        values["windows"] = options.windows
    left_out = []
    if model.cleaning != RAW:
        left_out.append(f"what the cleaning {model.cleaning} dropped")
    if windows is not None and model.spelled:
        left_out.append(model.spelled)
    if left_out:
        values["not_priced"] = " and ".join(left_out)
        if "restored_bits_per_raw_char" in values:
            values["not_priced"] += ", except in restored_bits_per_raw_char"
    return values


def _passage_values(
    options: argparse.Namespace, model: "ScoredModel", corpus: "Corpus", before: str, text: str
) -> dict[str, Any]:
    """Return the figures of a text in one piece, after the raw text before it."""
    from model.scoring.text_score import score_text
    from model.text.cleaning import clean

    score = score_text(
        model.symbol_nats,
        model.vocabulary,
        text,
        cleaning=model.cleaning,
        context=model.context(clean(before, model.cleaning)),
        spell_unknown=options.unknown == "spell",
    )
    restored = {}
    if options.part != "whole":
        price = _restoration_bits(corpus, model.cleaning, options.part)
        restored = {
            "restored_bits_per_raw_char": score.bits_per_raw_char + price,
            "restoration_bits_per_char": price,
        }
    return {**restored, **score.figures(), **dataclasses.asdict(score)}


def _window_values(
    model: "ScoredModel", text: str, num_windows: int, length: int, *, seed: int
) -> dict[str, Any]:
    """Return the figures of random windows of a text, each without context."""
    from model.scoring.text_score import random_windows
    from model.text.cleaning import clean

    symbols = model.vocabulary.encode(clean(text, model.cleaning))
    texts_TB = random_windows(symbols, num_windows=num_windows, length=length, seed=seed)
    means_B = model.cold_nats(texts_TB).mean(axis=0)
    nats = float(means_B.mean())
    error = float(means_B.std(ddof=1)) / math.sqrt(num_windows) if num_windows > 1 else None
    return {
        "nats_per_symbol": nats,
        "bits_per_symbol": nats / math.log(2),
        "standard_error_nats": error,
    }


def _check(options: argparse.Namespace) -> None:
    """Reject options that break a rule, alone or in combination.

    Raises:
        ConfigError: The first broken rule.
    """
    from model.text.cleaning import RAW, clean

    has_windows = options.windows is not None
    clean("", options.cleaning or RAW)
    if (options.seed or 0) < 0:
        raise ConfigError(f"seed must be at least 0, got {options.seed}")
    if not has_windows and options.seed is not None:
        raise ConfigError("--seed needs --windows: nothing else is random")
    if has_windows and options.unknown == "spell":
        raise ConfigError(
            "--unknown spell cannot go with --windows: their figure is per known symbol"
        )
    if has_windows and options.cache is not None:
        raise ConfigError("--cache cannot go with --windows: nothing precedes a window")
    if options.part == "whole" and (options.validation, options.test) != (None, None):
        raise ConfigError("--validation and --test need --part validation or test")


def _restoration_bits(corpus: "Corpus", cleaning: str, part: str) -> float:
    """Return the price of restoring a held-out part per raw character, as in a search."""
    from model.scoring.objective import prepare_corpus
    from model.text.cleaning import RAW

    if cleaning == RAW:
        return 0.0
    floors = prepare_corpus(corpus.text, [cleaning], lengths=corpus.lengths).floors
    return floors.restoration_bits_per_char(cleaning, is_test=part == "test")


def _windows(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,6})x([1-9]\d{0,6})", text)
    if match is None:
        raise ConfigError(
            f"windows must be NUMBERxLENGTH, each 1 to 9,999,999, such as 64x256, got {text!r}"
        )
    return int(match[1]), int(match[2])


def _cache(text: str | None) -> "NgramCache | None":
    if text is None or text == _NO_CACHE:
        return None
    from model.scoring.ngram_cache import NgramCache

    match = re.fullmatch(r"(\d{1,3})-(\d{1,3})x(\d{1,6}(?:\.\d{1,6})?)", text, re.ASCII)
    if match is None:
        raise ConfigError(
            f"cache must be {_NO_CACHE} or SHORTEST-LONGESTxWEIGHT, such as 4-12x20, got {text!r}"
        )
    try:
        return NgramCache(
            shortest=int(match[1]), longest=int(match[2]), escape_weight=float(match[3])
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _reading(options: argparse.Namespace) -> Reading:
    return Reading(keep_front_matter=options.keep_front_matter, encoding=options.encoding)


def _loaded(options: argparse.Namespace) -> "LoadedNetwork | None":
    """Return the named checkpoint or predictor; None for the n-gram.

    Raises:
        ConfigError: An option is only for the n-gram.
        CheckpointError: Its folder is missing or damaged.
    """
    if options.model == NGRAM:
        return None
    from model.system.devices import named_device
    from model.training.named_cells import execute_cells
    from model.training.predictor import load_network

    for flag in ("train", "cleaning"):
        if getattr(options, flag) is not None:
            raise ConfigError(f"--{flag} is only for {NGRAM}: {options.model} has its own")
    execute_cells(options.cell)
    return load_network(Path(options.model), named_device(options.device))


def _model(
    options: argparse.Namespace, loaded: "LoadedNetwork | None", corpus: "Corpus", scored: str
) -> "ScoredModel":
    """Return the model that scores a part of a text.

    Raises:
        ConfigError: It is an n-gram without a text to learn.
    """
    from model.scoring.scored_model import ScoredModel
    from model.text.cleaning import RAW
    from model.text.corpus import resolve_corpus
    from model.text.streams import split_text

    if loaded is not None:
        return ScoredModel.of_network(
            loaded.network,
            loaded.vocabulary,
            cleaning=loaded.config.cleaning,
            description=loaded.description,
        )
    if options.train is not None:
        learnt = str(resolve_corpus(options.train, _reading(options)).text)
        if scored in learnt:
            complain("model.score", f"warning: {NGRAM} has learnt the text that it scores")
        return ScoredModel.of_ngram(learnt, learnt, cleaning=options.cleaning or RAW)
    if options.part == "whole":
        raise ConfigError(
            f"{NGRAM} needs a text to learn: --train TEXT, or --part validation or test"
        )
    # The alphabet is that of the whole text, as in a search.
    train = split_text(corpus.text, corpus.lengths).train
    return ScoredModel.of_ngram(train, str(corpus.text), cleaning=options.cleaning or RAW)


if __name__ == "__main__":
    end(main())
