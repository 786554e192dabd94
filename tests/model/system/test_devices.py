"""A process' part of a GPU, by a made-up one: nothing here was run on a real one."""

import pytest
import torch

from model.errors import ConfigError
from model.system.devices import limit_gpu_memory, memory_for, return_gpu_memory
from model.system.limits import CONTEXT_BYTES


def test_part_of_a_gpu_leaves_room_for_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    total = 100 * CONTEXT_BYTES
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (total // 2, total))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", limits.append)
    limit_gpu_memory(0.25)
    limit_gpu_memory(0.001)
    assert limits == pytest.approx([0.24, 0.0])


def test_what_torch_keeps_is_returned_only_where_cuda_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    returned: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: returned.append(True))
    for has_begun in (False, True):
        monkeypatch.setattr(torch.cuda, "is_initialized", lambda has_begun=has_begun: has_begun)
        return_gpu_memory()
    assert returned == [True]


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_full_gpu_is_one_line(said: str) -> None:
    with (
        pytest.raises(ConfigError, match="a network must fit into memory"),
        memory_for("a network"),
    ):
        raise RuntimeError(said)
