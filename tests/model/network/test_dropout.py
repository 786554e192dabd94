"""The masks of dropout."""

import torch

from model.network.base import Dropout


def test_share_is_dropped_and_the_rest_scaled() -> None:
    dropout = Dropout()
    for p in (0.1, 0.5, 0.9):
        dropped = dropout(torch.ones(300_000), p)
        assert abs((dropped == 0).float().mean() - p) < 0.004
        kept = dropped[dropped != 0]
        torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))


def test_same_seed_gives_the_same_masks_and_each_call_another() -> None:
    dropout = Dropout()
    dropout.seed(5)
    values = torch.ones(7, 3, 11)
    first, second = dropout(values, 0.5), dropout(values, 0.5)
    dropout.seed(5)
    assert torch.equal(dropout(values, 0.5), first)
    assert not torch.equal(first, second)


def test_gradient_passes_where_values_do() -> None:
    dropout = Dropout()
    values = torch.randn(1_000, requires_grad=True)
    dropped = dropout(values, 0.3)
    dropped.sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert torch.equal(values.grad == 0, dropped == 0)


def test_nothing_is_dropped_at_zero() -> None:
    values = torch.ones(4)
    assert Dropout()(values, 0.0) is values
