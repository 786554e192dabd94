"""How fast text is written: `python -m benchmarks.generation`.

Greedy characters with the state carried, against the reference's way, a window of 100
characters read again for each character: by the same network in this project, and (1 x 256
and 2 x 256, `pip install -e '.[bench]'`) by Keras' `model.predict`, as the reference's code
has it. One thread; all rows in one run.
"""

import importlib.util
import os
import time
from collections.abc import Callable

import torch

from benchmarks.written_symbols import generate
from model.config import TrialConfig
from model.generation.decoding import SamplingOptions
from model.network.lstm import CharLSTM
from model.system.devices import use_threads

SHAPES = ((1, 256), (2, 256), (2, 512))
VOCABULARY_SIZE = 46
WINDOW_LENGTH = 100
REPEATS = 3


def seconds_a_char(write: Callable[[int], object], num_chars: int) -> float:
    """Return the best of some repeats."""
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


def main() -> None:
    """Print one row a shape."""
    os.sched_setaffinity(0, {0})
    use_threads(1)
    has_keras = importlib.util.find_spec("keras") is not None
    print(
        "| shape | ms a character | sliding window / ours | Keras' predict / ours "
        "| rate of 64 / of one |\n|---|---|---|---|---|"
    )
    greedy = SamplingOptions(temperature=0.0)
    for num_layers, hidden_size in SHAPES:
        config = TrialConfig(num_layers=num_layers, hidden_size=hidden_size)
        network = CharLSTM(config, VOCABULARY_SIZE).eval()
        prime = torch.zeros(WINDOW_LENGTH, dtype=torch.int64)

        @torch.inference_mode()
        def slide(num_chars: int, network: CharLSTM = network) -> None:
            window_TB = torch.zeros(WINDOW_LENGTH, 1, dtype=torch.int64)
            for _ in range(num_chars):
                index = network(window_TB)[0][-1].argmax(dim=-1)
                window_TB = torch.cat([window_TB[1:], index[None]])

        def write(num_chars: int, passages: int = 1, network: CharLSTM = network) -> None:
            generate(
                network,
                prime,  # noqa: B023
                num_symbols=num_chars,
                num_passages=passages,
                options=greedy,
            )

        one = seconds_a_char(write, 1_000)
        many = seconds_a_char(lambda num: write(num, 64), 300) / 64
        sliding = seconds_a_char(slide, 50)
        if has_keras and hidden_size == 256:
            keras_ratio = f"{seconds_a_char(keras_window(num_layers, 256), 20) / one:.0f}"
        else:
            keras_ratio = "not measured"
        print(
            f"| {num_layers} x {hidden_size} | {one * 1e3:.3f} | {sliding / one:.0f} | "
            f"{keras_ratio} | {one / many:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
