"""The fit of seconds to work, and a measurement of this machine."""

import dataclasses

import numpy as np
import pytest
import torch

from model.config import TrialConfig
from model.network.precision import FLOAT32
from model.training.cost import WORK_KINDS, TextSizes, Work, step_work
from model.training.speed import MachineSpeed, fit, measure_speed

SHAPES = [
    TrialConfig(hidden_size=h, num_layers=n, batch_size=b, sequence_length=t)
    for h, n, b, t in (
        *((64, 1, 8, 32), (128, 2, 64, 50), (256, 1, 16, 50), (500, 3, 32, 20)),
        *((90, 3, 8, 100), (300, 2, 128, 10), (1_000, 1, 8, 10)),
    )
]
WORKS = [step_work(config, 40) for config in SHAPES]
TRUE = MachineSpeed(seconds=(1e-3, 5e-6, 1e-11, 1e-8, 1e-8))


def seconds_of(speed: MachineSpeed, work: Work) -> float:
    amounts = [getattr(work, kind) for kind in WORK_KINDS]
    return float(np.dot(amounts, speed.seconds))


def test_fit_finds_the_speed_that_made_the_timings() -> None:
    found = fit(WORKS, [seconds_of(TRUE, work) for work in WORKS])
    assert found.seconds == pytest.approx(TRUE.seconds, rel=1e-6)


def test_no_kind_of_work_takes_less_than_nothing() -> None:
    lacking = dataclasses.replace(TRUE, seconds=(1e-3, 0.0, 1e-11, 0.0, 0.0))
    chance = np.random.default_rng(0)
    for _ in range(20):
        noisy = [seconds_of(lacking, work) * chance.uniform(0.7, 1.4) for work in WORKS]
        found = fit(WORKS, noisy)
        assert min(found.seconds) >= 0
        for work, seconds in zip(WORKS, noisy, strict=True):
            assert 0.4 < seconds_of(found, work) / seconds < 2.5


@pytest.mark.slow
def test_this_machine_is_measured() -> None:
    state = torch.get_rng_state()
    speed = measure_speed(FLOAT32, 32, torch.device("cpu"))
    torch.testing.assert_close(torch.get_rng_state(), state)
    sizes = TextSizes(
        train_symbols=20_000,
        validation_symbols=2_000,
        vocabulary_size=40,
        text_bytes=24_000,
    )
    small, large = (
        speed.epoch_seconds(TrialConfig(hidden_size=h, batch_size=8), sizes) for h in (16, 256)
    )
    assert 0 < small < large
