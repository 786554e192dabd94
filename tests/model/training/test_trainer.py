import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from model import train
from model.config import CELLS, TrialConfig
from model.errors import CheckpointError, CorpusError, TrainingDiverged
from model.network.precision import (
    BFLOAT16,
    FLOAT32,
    FUSED_BFLOAT16,
    FUSED_FLOAT32,
    Arithmetic,
)
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.system.files import write_sums
from model.system.seeds import hash_seed
from model.text.cleaning import CLEANINGS
from model.text.streams import EncodedCorpus, Part, training_sha256
from model.training import regimes
from model.training.checkpoint import (
    META_FILE,
    MODEL_FILE,
    TRAINING_FILE,
    load_checkpoint,
    load_training_state,
    read_meta,
)
from model.training.epoch_report import EpochReport
from model.training.regimes import Columns, StreamRegime, WindowRegime
from model.training.trainer import Trainer


def without_seconds(reports: list[EpochReport]) -> list[EpochReport]:
    return [dataclasses.replace(report, elapsed_seconds=0.0) for report in reports]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 19])
def test_every_character_is_predicted_exactly_once(batch_size: int) -> None:
    columns = Columns(torch.arange(20, dtype=torch.uint8), batch_size, padding=99)
    columns_TB = torch.cat([columns.rows(0, 2), columns.rows(2, 99)])
    assert columns_TB.shape == (columns.num_steps + 1, batch_size)
    inputs_TB, targets_TB = columns_TB[:-1], columns_TB[1:]
    scored = targets_TB != 99
    assert sorted(targets_TB[scored].tolist()) == list(range(1, 20))
    assert torch.equal(targets_TB[scored], inputs_TB[scored] + 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("regime", ["stream", "window"])
def test_text_that_cannot_be_written_is_trained_on(
    regime: str, tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    corpus = tiny_corpus.encoded["lower"]
    symbols = corpus.train.symbols.copy()
    symbols.flags.writeable = False  # as in Ray's object store
    train = dataclasses.replace(corpus.train, symbols=symbols)
    config = dataclasses.replace(tiny_config, regime=regime, epochs=1)
    first, second = (
        next(Trainer(config, dataclasses.replace(corpus, train=each)).reports())
        for each in (corpus.train, train)
    )
    assert first.val_nats_per_char == second.val_nats_per_char


@pytest.mark.slow
def test_same_seed_gives_the_same_reports_twice(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    first, second = (
        without_seconds(list(Trainer(tiny_config, tiny_corpus.encoded["lower"]).reports()))
        for _ in range(2)
    )
    assert first == second
    other = dataclasses.replace(tiny_config, seed=1)
    third = without_seconds(list(Trainer(other, tiny_corpus.encoded["lower"]).reports()))
    assert third != first


@pytest.mark.parametrize(("probability", "num_reset"), [(0.0, {0}), (0.5, {1, 2, 3}), (1.0, {4})])
def test_columns_begin_some_windows_without_a_state(
    probability: float,
    num_reset: set[int],
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A passage begins so: a network that never saw it may be lost from there on."""
    monkeypatch.setattr(regimes, "RESET_PROBABILITY", probability)
    config = dataclasses.replace(tiny_config, batch_size=4)
    regime = StreamRegime(config, tiny_corpus.encoded["lower"], torch.device("cpu"))
    regime.begin_report(1, epoch_seed=1)
    regime.loss(0)
    assert regime._state is not None
    hidden_B, cell_B = ((state_LBH == 0).all(dim=2).all(dim=0) for state_LBH in regime._state)
    assert torch.equal(hidden_B, cell_B) and int(hidden_B.sum()) in num_reset


@pytest.mark.slow
def test_interleaved_trainers_do_not_disturb_each_other(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    corpus = tiny_corpus.encoded["lower"]
    alone = list(Trainer(tiny_config, corpus).reports())
    pairs = zip(
        Trainer(tiny_config, corpus).reports(), Trainer(tiny_config, corpus).reports(), strict=True
    )
    for expected, (left, right) in zip(alone, pairs, strict=True):
        assert without_seconds([left]) == without_seconds([right]) == without_seconds([expected])


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        *({"cell": cell} for cell in CELLS),
        *({"cell": cell, "weight_dropout": 0.4} for cell in CELLS),
        {"tie_weights": True},
        {"tie_weights": True, "embedding_dim": 24},
        {"optimizer": "adam"},
        {"optimizer": "asgd", "decay_fraction": 0.8},
        {"optimizer": "asgd", "decay_fraction": 0.4, "normalization": "layer"},
        {"unit": "word", "min_word_count": 2},
        {"unit": "byte", "cleaning": "cased"},
    ],
    ids=str,
)
def test_resuming_in_the_middle_gives_the_identical_next_epochs(
    changes: dict[str, object],
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
) -> None:
    config = TrialConfig.from_dict(
        {**tiny_config.to_dict(), "epochs": 5, "weight_decay": 0.01, **changes}
    )
    corpus = tiny_corpus.streams(config)
    uninterrupted = Trainer(config, corpus)
    expected = without_seconds(list(uninterrupted.reports()))
    interrupted = Trainer(config, corpus)
    reports = interrupted.reports()
    next(reports), next(reports)
    interrupted.save(tmp_path / "checkpoint")
    resumed = Trainer(config, corpus)
    resumed.restore(tmp_path / "checkpoint")
    assert without_seconds(list(resumed.reports())) == expected[2:]
    for ours, theirs in zip(
        resumed.model.parameters(), uninterrupted.model.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_every_step_has_dropout_also_after_a_score_and_after_resuming(
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modes, step = [], Trainer.train_step

    def noted(self: Trainer, *place: int) -> tuple[torch.Tensor, torch.Tensor]:
        modes.append(self.model.training)
        return step(self, *place)

    monkeypatch.setattr(Trainer, "train_step", noted)
    config = dataclasses.replace(tiny_config, epochs=4)
    begun, resumed = (Trainer(config, tiny_corpus.encoded["lower"]) for _ in range(2))
    reports = begun.reports()
    next(reports), next(reports)
    begun.save(tmp_path / "checkpoint")
    resumed.restore(tmp_path / "checkpoint")
    for trainer in (begun, resumed):
        trainer.model.eval()
        assert next(trainer.reports()).epoch == 3
    assert modes == [True] * (4 * begun.steps_per_epoch)


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["stream", "window"])
def test_reports_within_an_epoch_see_all_of_it_once_and_resume_identically(
    regime: str, tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    config = dataclasses.replace(tiny_config, regime=regime, epochs=5 / 3, reports_per_epoch=3)
    corpus = tiny_corpus.encoded["lower"]
    uninterrupted = Trainer(config, corpus)
    steps, loss = [], uninterrupted.regime.loss
    uninterrupted.regime.loss = lambda step: (steps.append(step), loss(step))[1]  # type: ignore[method-assign, func-returns-value]
    expected = without_seconds(list(uninterrupted.reports()))
    whole = list(range(uninterrupted.steps_per_epoch))
    assert steps[: len(whole)] == whole and 0 < len(steps) - len(whole) < len(whole)
    assert [report.report for report in expected] == [1, 2, 3, 4, 5]
    assert [report.epoch for report in expected] == [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3]
    assert expected[2].chars_trained == corpus.train.num_raw_chars
    for num_before in (1, 3, 4):  # within the first epoch, at its end, within the second
        interrupted, resumed = Trainer(config, corpus), Trainer(config, corpus)
        reports = interrupted.reports()
        assert without_seconds([next(reports) for _ in range(num_before)]) == expected[:num_before]
        interrupted.save(tmp_path / str(num_before))
        resumed.restore(tmp_path / str(num_before))
        assert without_seconds(list(resumed.reports())) == expected[num_before:]


def test_more_reports_than_steps_are_refused(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    config = dataclasses.replace(tiny_config, reports_per_epoch=100_000)
    with pytest.raises(CorpusError, match="reports_per_epoch must be at most the steps of an ep"):
        Trainer(config, tiny_corpus.encoded["lower"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "num_kept"),
    [
        (lambda parameters: torch.optim.SGD(parameters, lr=0.1), 0),
        (lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9), 1),
        (lambda parameters: torch.optim.RMSprop(parameters, lr=0.1, centered=True), 3),
    ],
    ids=["sgd", "momentum", "rmsprop"],
)
def test_any_optimizer_is_saved_and_trains_on(
    make: Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer],
    num_kept: int,
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
) -> None:
    """An axis `optimizer` would be a field and its choice in regimes.py."""
    config = dataclasses.replace(tiny_config, epochs=4)

    def trainer() -> Trainer:
        new = Trainer(config, tiny_corpus.encoded["lower"])
        new.optimizer = make(new.model.parameters())
        return new

    uninterrupted, interrupted, resumed = trainer(), trainer(), trainer()
    expected = without_seconds(list(uninterrupted.reports()))
    reports = interrupted.reports()
    next(reports), next(reports)
    interrupted.save(tmp_path / "kept")
    kept = load_training_state(tmp_path / "kept")
    num_parameters = len(list(interrupted.model.parameters()))
    assert sum(not name.startswith("model.") for name in kept) == num_kept * num_parameters
    resumed.restore(tmp_path / "kept")
    assert without_seconds(list(resumed.reports())) == expected[2:]


def test_training_state_that_does_not_fit_is_one_of_our_errors(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    names = (MODEL_FILE, META_FILE, TRAINING_FILE)
    for change in ("exp_avg.nobody", "exp_avg.output.bias", "model.output.bias"):
        trainer.save(tmp_path / "kept")
        tensors = load_training_state(tmp_path / "kept")
        tensors[change] = torch.zeros(3, 5)
        save_file(tensors, tmp_path / "kept" / TRAINING_FILE)
        write_sums(tmp_path / "kept", names)
        with pytest.raises(CheckpointError, match="does not fit its configuration"):
            Trainer(tiny_config, tiny_corpus.encoded["lower"]).restore(tmp_path / "kept")
    del tensors["exp_avg.output.bias"], tensors[change]
    save_file(tensors, tmp_path / "kept" / TRAINING_FILE)
    write_sums(tmp_path / "kept", names)
    with pytest.raises(CheckpointError, match="does not fit its configuration"):
        Trainer(tiny_config, tiny_corpus.encoded["lower"]).restore(tmp_path / "kept")


@pytest.mark.slow
def test_network_learns(tiny_corpus: PreparedCorpus, tiny_config: TrialConfig) -> None:
    config = dataclasses.replace(
        tiny_config, epochs=30, hidden_size=48, dropout=0.0, input_dropout=0.0
    )
    corpus = tiny_corpus.encoded["lower"]
    reports = list(Trainer(config, corpus).reports())
    assert reports[-1].val_own_bits_per_char < 0.25  # the text repeats: it can be known by heart
    assert reports[0].val_own_bits_per_char > 2.5


def test_divergence_ends_within_its_epoch_and_names_the_step(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    reports = trainer.reports()
    next(reports)
    step_in_epoch = 3
    original, calls = trainer.regime.loss, []

    def spoilt(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == step_in_epoch:
            with torch.no_grad():
                trainer.model.output.bias.fill_(float("nan"))
        return original(*arguments)  # type: ignore[arg-type]

    trainer.regime.loss = spoilt  # type: ignore[method-assign, assignment]
    with pytest.raises(TrainingDiverged) as caught:
        next(reports)
    assert (caught.value.epoch, caught.value.step) == (2, step_in_epoch)
    assert trainer.last_report is not None and trainer.last_report.epoch == 1


def test_validation_and_test_text_never_reach_training(tiny_text: str) -> None:
    train_end = len(tiny_text) * 8 // 10
    planted = tiny_text[: train_end + 50] + "§§§" + tiny_text[train_end + 50 :]
    corpus = prepare_corpus(planted, ["cased"]).encoded["cased"]
    canary = corpus.vocabulary.symbols.index("§")
    assert canary not in corpus.train.symbols
    assert canary in corpus.validation.symbols
    config = TrialConfig(regime="window", cleaning="cased", sequence_length=10, batch_size=4)
    windows = WindowRegime(config, corpus, torch.device("cpu"))
    assert not (windows._windows == canary).any()


@pytest.mark.slow
def test_checkpoint_holds_the_best_epoch(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    # A step size far too large later on: the best epoch is not the last one.
    config = dataclasses.replace(tiny_config, epochs=6, learning_rate=0.3, decay_fraction=0.0)
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    reports = list(trainer.reports())
    best = min(reports, key=lambda report: report.val_bits_per_char)
    assert trainer.best_report == best
    assert best.epoch < config.epochs
    trainer.save(tmp_path / "checkpoint")
    resumed = Trainer(config, tiny_corpus.encoded["lower"])
    resumed.restore(tmp_path / "checkpoint")
    assert resumed.best_report == best
    assert resumed.last_report == reports[-1]


@pytest.mark.slow
def test_patience_ends_an_overfitting_training_and_keeps_the_best(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tmp_path: Path
) -> None:
    settings = {"epochs": 60, "dropout": 0.0, "input_dropout": 0.0, "learning_rate": 0.05}
    config = dataclasses.replace(tiny_config, **settings, patience_epochs=3)
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    reports = list(trainer.reports())
    best = min(reports, key=lambda report: report.val_bits_per_char)
    assert len(reports) == best.epoch + 3 < 60
    trainer.save(tmp_path / "checkpoint")
    assert load_checkpoint(tmp_path / "checkpoint")[1].metrics.epoch == best.epoch
    resumed = Trainer(config, tiny_corpus.encoded["lower"])
    resumed.restore(tmp_path / "checkpoint")
    assert resumed.is_finished and list(resumed.reports()) == []
    endless = dataclasses.replace(config, patience_epochs=0, epochs=len(reports) + 2)
    assert len(list(Trainer(endless, tiny_corpus.encoded["lower"]).reports())) == endless.epochs


def test_other_configuration_is_not_resumed(
    trained_checkpoint: Path, tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    other = dataclasses.replace(tiny_config, dropout=0.3)
    with pytest.raises(CheckpointError, match=r"dropout must be that of the checkpoint.*0\.3"):
        Trainer(other, tiny_corpus.encoded["lower"]).restore(trained_checkpoint)


def test_other_text_of_the_same_symbols_is_not_resumed(
    trained_checkpoint: Path, tiny_text: str, tiny_config: TrialConfig
) -> None:
    swapped = tiny_text.replace("Alice", "ecilA")
    other = Trainer(tiny_config, prepare_corpus(swapped, ["lower"]).encoded["lower"])
    with pytest.raises(CheckpointError, match="another text of the same symbols"):
        other.restore(trained_checkpoint)
    # The same text on another machine.
    same = prepare_corpus(tiny_text, ["lower"]).encoded["lower"]
    Trainer(tiny_config, same).restore(trained_checkpoint)


def test_sum_of_a_text_is_that_of_its_bytes_in_one_order(tiny_corpus: PreparedCorpus) -> None:
    corpus = tiny_corpus.encoded["lower"]
    train, validation = corpus.train.symbols.tobytes(), corpus.validation.symbols.tobytes()
    by_hand = b"%d %s%d %s" % (len(train), train, len(validation), validation)
    assert training_sha256(corpus) == hashlib.sha256(by_hand).hexdigest()

    def in_type(kind: str) -> EncodedCorpus:
        def converted(part: Part) -> Part:
            return dataclasses.replace(part, symbols=part.symbols.astype(kind))

        return corpus.in_symbols(corpus.vocabulary, converted)

    assert training_sha256(in_type("<i2")) == training_sha256(in_type(">i2"))


def test_learning_rate_warms_up_stays_and_decays(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    config = dataclasses.replace(tiny_config, epochs=20, decay_fraction=0.25, learning_rate=1.0)
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    num_steps = config.epochs * trainer.steps_per_epoch
    rates = [trainer.learning_rate(step) for step in range(num_steps)]
    assert rates[0] == pytest.approx(1 / 20)
    assert set(rates[20 : num_steps * 3 // 4]) == {1.0}
    assert rates[-1] == pytest.approx(1 / (0.25 * num_steps))
    assert sorted(rates[num_steps * 3 // 4 :], reverse=True) == rates[num_steps * 3 // 4 :]


@pytest.mark.slow
def test_every_arithmetic_learns_as_torchs_float32_does(
    tiny_corpus: PreparedCorpus, tiny_config: TrialConfig
) -> None:
    config = dataclasses.replace(tiny_config, epochs=8)

    def final(arithmetic: Arithmetic) -> float:
        trainer = Trainer(config, tiny_corpus.encoded["lower"], arithmetic=arithmetic)
        return list(trainer.reports())[-1].val_bits_per_char

    exact = final(FLOAT32)
    if FUSED_FLOAT32.is_available:
        assert final(FUSED_FLOAT32) == pytest.approx(exact, abs=1e-3)
    for arithmetic in (BFLOAT16, FUSED_BFLOAT16):
        if arithmetic.is_available:
            assert final(arithmetic) == pytest.approx(exact, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("regime", [{}, {"regime": "window", "sequence_length": 10}])
@pytest.mark.parametrize("arithmetic", [FUSED_FLOAT32, FUSED_BFLOAT16], ids=str)
def test_fused_training_resumed_is_the_same_training(
    arithmetic: Arithmetic,
    regime: dict[str, Any],
    tiny_corpus: PreparedCorpus,
    tiny_config: TrialConfig,
    tmp_path: Path,
) -> None:
    if not arithmetic.is_available:
        pytest.skip("no AVX512 or no C++ compiler here")
    config = dataclasses.replace(tiny_config, num_layers=2, precision="auto", **regime)
    corpus = tiny_corpus.encoded["lower"]
    whole = list(Trainer(config, corpus, arithmetic=arithmetic).reports())
    begun = Trainer(config, corpus, arithmetic=arithmetic)
    first = next(begun.reports())
    begun.save(tmp_path / "kept")
    resumed = Trainer(config, corpus, arithmetic=FLOAT32)
    resumed.restore(tmp_path / "kept")
    assert resumed.arithmetic == arithmetic
    scores = [report.val_bits_per_char for report in (first, *resumed.reports())]
    assert scores == [report.val_bits_per_char for report in whole]


def test_seeds_differ_by_study_and_trial() -> None:
    seeds = {hash_seed(study, trial) for study in range(50) for trial in range(50)}
    assert len(seeds) == 2_500
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.slow
def test_command_line_trains_saves_and_resumes(
    tmp_path: Path, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    flags = "--corpus book.txt --epochs 2 --hidden-size 8 --batch-size 4 --sequence-length 16"
    assert train.main([*flags.split(), "--checkpoint", "kept"]) == 0
    output = capsys.readouterr().out
    assert "epoch   2:" in output and "best:" in output
    assert (tmp_path / "kept" / "model.safetensors").exists()
    assert train.main([*flags.split(), "--checkpoint", "kept"]) == 2
    assert "must not exist yet" in capsys.readouterr().err
    # As a kill leaves it that comes when a save is about to replace it.
    (tmp_path / "kept").rename(tmp_path / ".kept.replaced")
    assert train.main([*flags.split(), "--checkpoint", "kept"]) == 2
    assert train.main([*flags.split(), "--checkpoint", "kept", "--resume"]) == 0


@pytest.fixture
def begun(tiny_corpus: PreparedCorpus, tiny_config: TrialConfig, tiny_text: str) -> Path:
    """A checkpoint after one of three epochs, and its book beside it."""
    trainer = Trainer(tiny_config, tiny_corpus.encoded["lower"])
    next(trainer.reports())
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    trainer.save(Path("kept"))
    return Path("kept")


@pytest.mark.slow
def test_checkpoint_that_a_link_leads_to_is_gone_on_with(begun: Path) -> None:
    Path("link").symlink_to(begun)
    assert train.main(["--corpus", "book.txt", "--checkpoint", "link", "--resume"]) == 0
    assert {path.name for path in Path().iterdir()} - {"cache"} == {"book.txt", "kept", "link"}
    assert Path("link").is_symlink() and read_meta(begun).last_metrics.epoch == 3


def test_checkpoint_that_cannot_be_replaced_is_refused_before_an_epoch(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = begun.rename("k" * 250)  # what is written beside it has a longer name
    assert train.main(["--corpus", "book.txt", "--checkpoint", str(long), "--resume"]) == 2
    told = capsys.readouterr()
    assert "cannot write checkpoint" in told.err and told.err.count("\n") == 1
    assert "epoch" not in told.out


def test_full_gpu_is_told_in_one_line(
    tiny_text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79 GiB"
        )

    monkeypatch.setattr(Trainer, "train_until", full)
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    assert train.main(["--corpus", "book.txt", "--hidden-size", "8"]) == 2
    assert capsys.readouterr().err.endswith("fit into memory: there is no room for 20.00 GiB\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ("--dropout 1", "dropout must be in 0 <= p < 1, got 1.0"),
        ("--cleaning tidy", f"unknown cleaning 'tidy'; choose from {', '.join(CLEANINGS)}"),
        ("--corpus nowhere.txt", "unknown corpus 'nowhere.txt'"),
        ("--config nowhere.json", "readable JSON: nowhere.json: No such file"),
        ("--threads 0", "threads must be at least 1"),
        ("--threads 3000000000", "threads must be at least 1 and at most 1024, got 3000000000"),
        ("--checkpoint book.txt/kept", "cannot write checkpoint book.txt/kept: Not a directory"),
        ("--checkpoint lost", "must not be a dangling link, got lost"),
        # More than 47 bits address: no kernel overcommits so far.
        ("--hidden-size 4000000 --embedding-dim 1", "there is no room for 256000000000000 bytes"),
        (f"--hidden-size {10**16}", "must fit into memory: there is not enough"),
        (f"--embedding-dim {10**18}", "must fit into memory: there is not enough"),
        (f"--embedding-dim {10**30}", "embedding_dim must be below 2**63"),
    ],
)
def test_command_line_refuses_in_one_line(
    flags: str, rule: str, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    Path("lost").symlink_to("nowhere")
    words = [] if "--corpus" in flags else ["--corpus", "book.txt"]
    assert train.main([*words, *flags.split()]) == 2
    told = capsys.readouterr()
    assert rule in told.err
    assert told.err.count("\n") == 1
    assert "epoch" not in told.out  # none is trained for nothing
