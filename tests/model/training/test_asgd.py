"""SGD whose mean weights are scored: from where on, what is kept, resuming, scores."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model import score, train
from model.config import TrialConfig
from model.scoring.objective import PreparedCorpus
from model.training.checkpoint import load_checkpoint, load_training_state
from model.training.optimizer import make_optimizer, mean_weights, take_step
from model.training.trainer import Trainer


@pytest.fixture
def config(tiny_config: TrialConfig) -> TrialConfig:
    return dataclasses.replace(
        tiny_config, optimizer="asgd", sgd_learning_rate=1.0, epochs=4, decay_fraction=0.5
    )


def weights_of(trainer: Trainer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in trainer.model.parameters()]


@pytest.mark.slow
def test_mean_is_that_of_the_weights_after_the_first_part(
    config: TrialConfig, tiny_corpus: PreparedCorpus
) -> None:
    """Against SGD by hand: the steps are SGD's, and the mean is over the last half of them."""
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    steps, num_steps = [], 4 * trainer.steps_per_epoch
    original = trainer.train_step

    def followed(epoch: int, step: int) -> tuple[Tensor, Tensor]:
        before = weights_of(trainer)
        found = original(epoch, step)
        place = (epoch - 1) * trainer.steps_per_epoch + step
        for parameter, old in zip(trainer.model.parameters(), before, strict=True):
            assert parameter.grad is not None
            rate = trainer.learning_rate(max(0, place - 1))  # torch's is a step behind
            torch.testing.assert_close(parameter.detach(), old - rate * parameter.grad)
        steps.append(weights_of(trainer))
        return found

    trainer.train_step = followed  # type: ignore[method-assign]
    list(trainer.reports())
    assert len(steps) == num_steps
    last_half = steps[num_steps // 2 :]
    with mean_weights(trainer.optimizer):
        means = weights_of(trainer)
    for mean, *values in zip(means, *last_half, strict=True):
        torch.testing.assert_close(mean, torch.stack(values).mean(0), rtol=1e-4, atol=1e-5)
    for last, parameter in zip(steps[-1], trainer.model.parameters(), strict=True):
        assert torch.equal(last, parameter.detach())


def test_learning_rate_warms_up_and_stays(
    config: TrialConfig, tiny_corpus: PreparedCorpus
) -> None:
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    rates = [trainer.learning_rate(step) for step in range(4 * trainer.steps_per_epoch)]
    assert rates[0] == pytest.approx(1 / 20) and set(rates[20:]) == {1.0}


@pytest.mark.parametrize("decay_fraction", [0.0, 1.0])
def test_without_a_last_part_the_last_weights_are_scored(
    decay_fraction: float, config: TrialConfig, tiny_corpus: PreparedCorpus
) -> None:
    changed = dataclasses.replace(config, decay_fraction=decay_fraction, epochs=1)
    trainer = Trainer(changed, tiny_corpus.encoded["lower"])
    list(trainer.reports())
    last = weights_of(trainer)
    with mean_weights(trainer.optimizer):
        scored = weights_of(trainer)
    same = all(torch.equal(a, b) for a, b in zip(last, scored, strict=True))
    assert same == (decay_fraction == 0.0)


@pytest.mark.slow
def test_checkpoint_scores_with_the_mean_and_keeps_the_last_for_training(
    config: TrialConfig, tiny_corpus: PreparedCorpus, tmp_path: Path
) -> None:
    trainer = Trainer(config, tiny_corpus.encoded["lower"])
    reports = list(trainer.reports())
    assert trainer.best_report == reports[-1]  # or the test would compare other weights
    trainer.save(tmp_path / "kept")
    network, meta = load_checkpoint(tmp_path / "kept")
    training = load_training_state(tmp_path / "kept")
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, training[f"ax.{name}"]), name
        assert not torch.equal(weight, training[f"model.{name}"]), name
    scorer = Trainer(config, tiny_corpus.encoded["lower"])
    scorer.model.load_state_dict(network.state_dict())
    per_char = scorer.validation_nats() / len(scorer.corpus.validation.symbols)
    assert per_char == pytest.approx(meta.metrics.val_nats_per_char, rel=1e-5)


def test_other_optimizers_weights_stay_as_they_are() -> None:
    layer = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(torch.optim.AdamW, layer.parameters(), lr=0.1)
    layer(torch.ones(2)).sum().backward()
    take_step(optimizer)
    before = layer.weight.detach().clone()
    with mean_weights(optimizer):
        assert torch.equal(layer.weight, before)


def test_mean_is_put_back_where_the_scoring_raises() -> None:
    layer = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(torch.optim.ASGD, layer.parameters(), lr=0.1, lambd=0.0, t0=0)
    for _ in range(3):
        layer(torch.ones(2)).sum().backward()
        take_step(optimizer)
    before = layer.weight.detach().clone()
    with pytest.raises(ValueError, match="lost"), mean_weights(optimizer):
        assert not torch.equal(layer.weight, before)
        raise ValueError("lost")
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize(
    "flags",
    [
        "--optimizer asgd --sgd-learning-rate 1",
        "--tie-weights true --weight-dropout 0.3 --cell gru",
        "--optimizer adam --weight-decay 0.001 --tie-weights True --embedding-dim 24",
    ],
)
def test_command_line_trains_resumes_and_scores(
    flags: str, tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    small = ["--corpus", "book.txt", "--hidden-size", "24", "--batch-size", "4"]
    assert train.main([*small, *flags.split(), "--epochs", "2", "--checkpoint", "kept"]) == 0
    assert train.main(["--checkpoint", "kept", "--resume"]) == 0
    assert score.main(["kept", "--text", "book.txt", "--part", "test"]) == 0
    assert "bits per character" in capsys.readouterr().out


def test_command_line_wants_true_or_false(
    tiny_text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("book.txt").write_text(tiny_text, encoding="utf-8")
    for said in ("yes", "1", ""):
        with pytest.raises(SystemExit) as ended:
            train.main(["--corpus", "book.txt", "--tie-weights", said])
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert f"--tie-weights: must be true or false, got {said!r}" in told
        assert told.count("\n") == 1
