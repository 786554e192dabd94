import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from model.network.base import Network
from model.scoring import layout
from model.scoring.evaluation import score_cold_windows, symbol_nats
from model.scoring.layout import MIN_COLUMNS
from model.scoring.objective import PreparedCorpus, restored_bits_per_char
from model.text.streams import EncodedCorpus
from model.training.checkpoint import load_checkpoint


def sequential_nats(model: torch.nn.Module, symbols: list[int], num_context: int) -> float:
    """Score a passage character by character, the slow and obvious way."""
    model.eval()
    with torch.inference_mode():
        logits_TBV, _ = model(torch.tensor(symbols[:-1])[:, None])
    nats = functional.cross_entropy(logits_TBV[:, 0], torch.tensor(symbols[1:]), reduction="none")
    return nats[num_context - 1 :].sum().item()


def validation_nats(model: Network, corpus: EncodedCorpus, length: int | None = None) -> float:
    passage = corpus.validation.symbols[:length]
    return float(symbol_nats(model, passage, context=corpus.train.symbols).sum())


def test_columns_score_as_one_long_pass_does(
    trained_checkpoint: object, tiny_corpus: PreparedCorpus
) -> None:
    model, _ = load_checkpoint(trained_checkpoint)  # type: ignore[arg-type]
    corpus = tiny_corpus.encoded["lower"]
    nats = validation_nats(model, corpus)
    symbols = [*corpus.train.symbols[-128:].tolist(), *corpus.validation.symbols.tolist()]
    by_hand = sequential_nats(model, symbols, num_context=128)
    assert abs(nats - by_hand) / len(corpus.validation.symbols) < 1e-3


def test_every_character_counts_once_whatever_the_length(
    trained_checkpoint: object, tiny_corpus: PreparedCorpus
) -> None:
    model, _ = load_checkpoint(trained_checkpoint)  # type: ignore[arg-type]
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.zeros_(model.output.bias)
    corpus = tiny_corpus.encoded["lower"]
    nat = torch.log(torch.tensor(float(len(corpus.vocabulary)))).item()
    for length in (
        1,
        2,
        MIN_COLUMNS - 1,
        MIN_COLUMNS,
        MIN_COLUMNS + 1,
        100,
    ):
        nats = validation_nats(model, corpus, length)
        assert abs(nats - length * nat) < 1e-3


def test_network_is_left_in_evaluation_mode(
    trained_checkpoint: object, tiny_corpus: PreparedCorpus
) -> None:
    model, _ = load_checkpoint(trained_checkpoint)  # type: ignore[arg-type]
    corpus = tiny_corpus.encoded["lower"]
    validation_nats(model.train(), corpus)
    assert not model.training


def test_chunks_of_a_large_vocabulary_leave_the_score_alone(
    trained_checkpoint: object, tiny_corpus: PreparedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = load_checkpoint(trained_checkpoint)  # type: ignore[arg-type]
    corpus = tiny_corpus.encoded["lower"]
    whole = validation_nats(model, corpus)
    for max_logits in (1, 5_000):  # a step at a time; some steps
        monkeypatch.setattr(layout, "MAX_CHUNK_LOGITS", max_logits)
        nats = validation_nats(model, corpus)
        assert nats == pytest.approx(whole, rel=1e-6)


def test_cold_windows_score_each_symbol_once_with_nothing_before_their_first(
    trained_checkpoint: Path, tiny_corpus: PreparedCorpus
) -> None:
    model, meta = load_checkpoint(trained_checkpoint)
    test = tiny_corpus.encoded["lower"].test
    symbols, length = test.symbols.tolist(), 20
    starts = range(0, len(symbols) - length, length)
    nats = [
        sequential_nats(model, symbols[start : start + length + 1], num_context=1)
        for start in starts
    ]
    bits = sum(nats) / (length * len(starts)) / math.log(2) * len(symbols)
    config = meta.config
    found = score_cold_windows(model, tiny_corpus, config, precision="float32", length=length)
    assert len(starts) > 2 and found == pytest.approx(restored_bits_per_char(bits, test), rel=1e-5)
    whole = len(symbols) - 1
    for longest, is_known in ((whole, True), (whole + 1, False)):
        score = score_cold_windows(model, tiny_corpus, config, precision=None, length=longest)
        assert (score is not None) == is_known
