"""What single steps of any stream network are checked against: passes over whole texts."""

import torch
from torch import Tensor

from model.network.stream import StreamNetwork


def check_single_steps(
    network: StreamNetwork, inputs_TB: Tensor, *, tolerance: float | None = None
) -> None:
    """Check that steps after the first ten symbols give the logits of one pass over all.

    Args:
        network: In evaluation mode.
        inputs_TB: Indices (T, B), more than ten steps.
        tolerance: Of the steps' logits, relative and absolute; None means torch's.
    """
    with torch.inference_mode():
        whole_TBV, _ = network(inputs_TB)
        logits_BV, stepper = network.start_stepper(inputs_TB[:10])
        torch.testing.assert_close(logits_BV, whole_TBV[9])
        for place in range(10, len(inputs_TB)):
            torch.testing.assert_close(
                stepper.step(inputs_TB[place]), whole_TBV[place], rtol=tolerance, atol=tolerance
            )


def check_picked_and_joined(
    network: StreamNetwork, inputs_TB: Tensor, *, tolerance: float | None = None
) -> None:
    """Check that passages that are picked and joined go on from their own states.

    Args:
        network: In evaluation mode.
        inputs_TB: Indices (T, 3), at least 12 steps.
        tolerance: As in `check_single_steps`.
    """
    with torch.inference_mode():
        _, stepper = network.start_stepper(inputs_TB[:10])
        picked = stepper.pick(torch.tensor([2, 0]))
        picked.step(inputs_TB[10, [2, 0]])
        stepper.step(inputs_TB[10])  # the other's step left it where it was
        logits_BV = stepper.join(picked).step(inputs_TB[11, [0, 1, 2, 2, 0]])
        whole_TBV, _ = network(inputs_TB[:12])
    expected_BV = whole_TBV[-1, [0, 1, 2, 2, 0]]
    torch.testing.assert_close(logits_BV, expected_BV, rtol=tolerance, atol=tolerance)
