"""How fast text is generated: `python -m benchmarks.generation`.

Greedy characters with the state carried over, compared with the reference's way, which reads a
window of 100 characters again for each character: with the same network in this project, and
(1 x 256 and 2 x 256, `pip install -e '.[bench]'`) with Keras' `model.predict`, as in the
reference's code. One thread; all rows in one run.
"""

import functools
import importlib.util
import os
import time
from collections.abc import Callable

import torch

from benchmarks.written_symbols import generate
from model.config import TrialConfig
from model.generation.decoding import SamplingOptions
from model.network.lstm import CharLSTM
from model.network.precision import FLOAT32, FUSED_BFLOAT16, FUSED_FLOAT32
from model.system.devices import use_threads

SHAPES = ((1, 256), (2, 256), (2, 512))
VOCABULARY_SIZE = 46
WINDOW_LENGTH = 100
REPEATS = 3
GREEDY, SAMPLED = SamplingOptions(temperature=0.0), SamplingOptions(temperature=0.8)


def seconds_a_char(write: Callable[[int], object], num_chars: int) -> float:
    """Return the seconds per character of the fastest repeat."""
    write(3)
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        write(num_chars)
        best = min(best, (time.perf_counter() - start) / num_chars)
    return best


def keras_window(num_layers: int, hidden_size: int) -> Callable[[int], object]:
    """Return the reference's loop around model.predict."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras
    import numpy as np

    layers = [
        keras.layers.LSTM(hidden_size, return_sequences=layer < num_layers - 1)
        for layer in range(num_layers)
    ]
    output = keras.layers.Dense(VOCABULARY_SIZE, activation="softmax")
    model = keras.Sequential([keras.Input((WINDOW_LENGTH, 1)), *layers, output])

    def write(num_chars: int) -> None:
        pattern = [0] * WINDOW_LENGTH
        for _ in range(num_chars):
            window = np.reshape(pattern, (1, WINDOW_LENGTH, 1)) / VOCABULARY_SIZE
            index = int(np.argmax(model.predict(window, verbose=0)))
            pattern = [*pattern[1:], index]

    return write


@torch.inference_mode()
def slide(network: CharLSTM, num_chars: int) -> None:
    """Write greedily, reading a window again for each character."""
    window_TB = torch.zeros(WINDOW_LENGTH, 1, dtype=torch.int64)
    for _ in range(num_chars):
        index = network(window_TB)[0][-1].argmax(dim=-1)
        window_TB = torch.cat([window_TB[1:], index[None]])


def write(
    network: CharLSTM, num_chars: int, *, num_passages: int = 1, options: SamplingOptions = GREEDY
) -> None:
    """Write as this project does, with the state carried over."""
    generate(
        network,
        torch.zeros(WINDOW_LENGTH, dtype=torch.int64),
        num_symbols=num_chars,
        num_passages=num_passages,
        options=options,
    )


def main() -> None:
    """Print one row per shape and arithmetic."""
    os.sched_setaffinity(0, {0})
    use_threads(1)
    has_keras = importlib.util.find_spec("keras") is not None
    print(
        "| shape | arithmetic | ms a character | sliding window / ours | Keras' predict / ours "
        "| sampled / greedy | rate of 64 / of one by torch |\n|---|---|---|---|---|---|---|"
    )
    for num_layers, hidden_size in SHAPES:
        config = TrialConfig(num_layers=num_layers, hidden_size=hidden_size)
        network = CharLSTM(config, VOCABULARY_SIZE).eval()
        sliding, by_torch = seconds_a_char(functools.partial(slide, network), 50), 0.0
        keras = float("nan")
        if has_keras and hidden_size == 256:
            keras = seconds_a_char(keras_window(num_layers, 256), 20)
        for arithmetic in (FLOAT32, FUSED_FLOAT32, FUSED_BFLOAT16):
            if not arithmetic.is_available:
                continue
            network.use_kernel(arithmetic.kernel, arithmetic.precision)
            one = seconds_a_char(functools.partial(write, network), 1_000)
            by_torch = by_torch or one
            drawn = seconds_a_char(functools.partial(write, network, options=SAMPLED), 1_000)
            many = seconds_a_char(functools.partial(write, network, num_passages=64), 300) / 64
            print(
                f"| {num_layers} x {hidden_size} | {arithmetic} | {one * 1e3:.3f} "
                f"| {sliding / one:.0f} | {keras / one:.0f} | {drawn / one:.2f} "
                f"| {by_torch / many:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
