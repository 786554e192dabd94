"""How our trainer performs on a GPU: `python -m benchmarks.gpu`. Never run on one so far.

Characters per second of one process and of several that share the GPU (`--gpus-per-trial` of a
half, a quarter and an eighth), the memory of each, and their FLOP/s as a share of what a large
matrix product reaches. An LSTM of a few hundred units uses little of a large GPU: if several
processes train more than one does, trials should share it. `--device cpu` tests this benchmark.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import torch

from benchmarks.contenders import Shape, text
from benchmarks.documented import whole_corpus
from model.system.devices import num_gpus, pick_device
from model.training.cost import num_parameters
from model.training.trainer import Trainer

SHAPES = ((1, 256, 64), (2, 512, 64), (1, 1024, 128), (2, 1024, 256))
"""Layers, units, columns."""
PROCESSES = (1, 2, 4, 8)
WARM_UP_STEPS = 5
STEPS_AT_ONCE = 10
"""Steps that the host starts before it waits for the GPU; training waits once per report."""
PRODUCT_SIZES = {"cuda": 8_192, "cpu": 512}


def main() -> int:
    """Print the tables, or measure one process as a worker."""
    parser = argparse.ArgumentParser(description="Throughput, shares and memory on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=5.0, help="per measurement (5)")
    parser.add_argument("--processes", type=int, nargs="+", default=PROCESSES, help="in parallel")
    parser.add_argument("--shapes", nargs="+", help="layers x units x columns, such as 2x512x64")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = pick_device(use_gpu=options.device == "cuda")
    if device.type != options.device:
        print("no GPU is visible to torch here: nothing was measured")
        return 2
    if options.worker:
        measured = measure(shape_of(options.worker), device, options.seconds)
        print(json.dumps(measured))
        return 0
    flops = product_flops(device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name} ({num_gpus()} visible), torch {torch.__version__}")
    size = PRODUCT_SIZES[device.type]
    print(f"a product of {size:,} x {size:,}: {flops / 1e12:.2f} TFLOP/s\n")
    print(
        "| shape | processes | characters/s in all | against one | peak MiB each "
        "| of a large product |\n|---|---|---|---|---|---|"
    )
    for shape in options.shapes or ["x".join(map(str, each)) for each in SHAPES]:
        alone = 0.0
        for num_processes in options.processes:
            found = together(shape, num_processes, options)
            total = sum(each["rate"] for each in found)
            alone = alone or total / num_processes
            peak = max(each["peak_bytes"] for each in found) / 2**20
            # Forward and backward pass: 6 per parameter and character.
            share = 6 * found[0]["num_parameters"] * total / flops
            print(
                f"| {shape} | {num_processes} | {total:,.0f} | {total / alone:.2f} "
                f"| {peak:,.0f} | {share:.1%} |",
                flush=True,
            )
    return 0


def shape_of(text_of_shape: str) -> Shape:
    """Return a shape of layers, units and columns.

    >>> shape_of("2x512x64")
    Shape(num_layers=2, hidden_size=512, batch_size=64)
    """
    num_layers, hidden_size, batch_size = map(int, text_of_shape.split("x"))
    return Shape(num_layers=num_layers, hidden_size=hidden_size, batch_size=batch_size)


def together(shape: str, num_processes: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the measurements of several processes that start once all have warmed up."""
    words = ["--worker", shape, "--device", options.device, "--seconds", str(options.seconds)]
    command = [sys.executable, "-m", "benchmarks.gpu", *words]
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) for _ in range(num_processes)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n", worker.args
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    return [json.loads(worker.communicate()[0]) for worker in workers]


def measure(shape: Shape, device: torch.device, seconds: float) -> dict[str, Any]:
    """Train for some seconds, once a line arrives on standard input."""
    config = shape.config("stream")
    trainer = Trainer(config, whole_corpus(text(), "lower"), device=device)
    trainer.regime.begin_report(0, epoch_seed=0)
    last_whole = trainer.steps_per_epoch - 1
    for step in range(WARM_UP_STEPS):
        trainer.train_step(1, step % last_whole)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
    print("ready", flush=True)
    sys.stdin.readline()
    num_steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(STEPS_AT_ONCE):
            trainer.train_step(1, num_steps % last_whole)
            num_steps += 1
        if on_gpu:
            torch.cuda.synchronize()
    elapsed = time.perf_counter() - start
    chars = num_steps * config.batch_size * config.sequence_length
    return {
        "rate": chars / elapsed,
        "peak_bytes": torch.cuda.max_memory_reserved() if on_gpu else 0,
        "num_parameters": num_parameters(config, len(trainer.corpus.vocabulary)),
    }


def product_flops(device: torch.device) -> float:
    """Return the FLOP/s of a large matrix product, in the trainer's float32."""
    size = PRODUCT_SIZES[device.type]
    values = torch.randn(size, size, device=device)
    best = float("inf")
    for _ in range(WARM_UP_STEPS):
        start = time.perf_counter()
        product = values @ values
        product[0, 0].item()  # waits for the GPU
        best = min(best, time.perf_counter() - start)
    return float(2 * size**3 / best)


if __name__ == "__main__":
    sys.exit(main())
