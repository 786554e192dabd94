"""What benchmarks/throughput.py times: ours, tutorial-style PyTorch, Keras on JAX, the limit.

Each contender is a function that takes a shape. It returns a function that trains a number of
steps, and the number of positions with a loss (stream) or of windows (window) per step.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.documented import whole_corpus
from model.config import TrialConfig
from model.network.precision import resolve_arithmetic
from model.text.corpus import resolve_corpus
from model.training.trainer import Trainer

NUM_CHARS = 120_000
EMBEDDING_DIM = 64
DROPOUT = 0.2
WINDOW_LENGTH = 100
STREAM_LENGTH = 50

Train = Callable[[int], None]
"""Trains this many steps."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The size of a network and of its batches."""

    num_layers: int
    hidden_size: int
    batch_size: int

    def config(self, regime: str) -> TrialConfig:
        """Return our configuration of this shape."""
        return TrialConfig(
            regime=regime,
            num_layers=self.num_layers,
            hidden_size=self.hidden_size,
            batch_size=self.batch_size,
            sequence_length=STREAM_LENGTH if regime == "stream" else WINDOW_LENGTH,
            embedding_dim=EMBEDDING_DIM,
            dropout=DROPOUT,
            input_dropout=DROPOUT if regime == "stream" else 0.0,
            learning_rate=1e-3,
        )


def text() -> str:
    """Return the text on which all of them train."""
    return resolve_corpus("python-docs").text[:NUM_CHARS].lower()


def ours(shape: Shape, regime: str, kernel: str = "auto") -> tuple[Train, int]:
    """Our trainer, with the precision and kernel that it chooses."""
    config = dataclasses.replace(shape.config(regime), kernel=kernel)
    trainer = Trainer(config, whole_corpus(text(), "lower"))
    trainer.regime.begin_report(0, epoch_seed=0)
    steps = iter(range(10**9))

    def train(num_steps: int) -> None:
        for _ in range(num_steps):
            trainer.train_step(1, next(steps) % (trainer.steps_per_epoch - 1))

    return train, shape.batch_size * (config.sequence_length if regime == "stream" else 1)


class _Tutorial(nn.Module):
    def __init__(self, shape: Shape, vocabulary_size: int, *, window: bool) -> None:
        super().__init__()
        self.window = window
        self.embedding = nn.Embedding(vocabulary_size, EMBEDDING_DIM)
        self.lstm = nn.LSTM(
            1 if window else EMBEDDING_DIM,
            shape.hidden_size,
            shape.num_layers,
            batch_first=True,
            dropout=DROPOUT if shape.num_layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.output = nn.Linear(shape.hidden_size, vocabulary_size)

    def forward(self, inputs: Tensor) -> Tensor:
        values = inputs if self.window else self.dropout(self.embedding(inputs))
        hidden, _ = self.lstm(values)
        logits: Tensor = self.output(self.dropout(hidden[:, -1] if self.window else hidden))
        return logits


def plain_pytorch(shape: Shape, regime: str) -> tuple[Train, int]:
    """nn.LSTM, float32, DataLoader, Adam, as in a good tutorial."""
    corpus = whole_corpus(text(), "lower")
    symbols = torch.from_numpy(corpus.train.symbols).long()
    vocabulary_size = len(corpus.vocabulary)
    window = regime == "window"
    if window:
        inputs = symbols[:-1].unfold(0, WINDOW_LENGTH, 1)[..., None].float() / vocabulary_size
        targets = symbols[WINDOW_LENGTH:]
    else:
        count = (len(symbols) - 1) // STREAM_LENGTH * STREAM_LENGTH
        inputs = symbols[:count].view(-1, STREAM_LENGTH)
        targets = symbols[1 : count + 1].view(-1, STREAM_LENGTH)
    dataset = TensorDataset(inputs, targets)
    loader = DataLoader(dataset, batch_size=shape.batch_size, shuffle=True, drop_last=True)
    model = _Tutorial(shape, vocabulary_size, window=window)
    optimizer = torch.optim.Adam(model.parameters())
    criterion = nn.CrossEntropyLoss()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    endless = batches()

    def train(num_steps: int) -> None:
        running_loss = 0.0
        for _ in range(num_steps):
            inputs, targets = next(endless)
            optimizer.zero_grad()
            logits = model(inputs)
            loss = criterion(logits.reshape(-1, vocabulary_size), targets.reshape(-1))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            running_loss += loss.item()

    return train, shape.batch_size * (1 if window else STREAM_LENGTH)


def keras_on_jax(shape: Shape, regime: str) -> tuple[Train, int]:
    """Keras 3 with the JAX backend, the reference's own model."""
    assert regime == "window"
    import os

    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    corpus = whole_corpus(text(), "lower")
    vocabulary_size = len(corpus.vocabulary)
    symbols = corpus.train.symbols
    windows = np.lib.stride_tricks.sliding_window_view(symbols, WINDOW_LENGTH + 1)[:20_000]
    inputs = (windows[:, :-1, None] / vocabulary_size).astype(np.float32)
    targets = np.eye(vocabulary_size, dtype=np.float32)[windows[:, -1]]
    layers: list[Any] = [keras.Input((WINDOW_LENGTH, 1))]
    for layer in range(shape.num_layers):
        last = layer == shape.num_layers - 1
        layers += [keras.layers.LSTM(shape.hidden_size, return_sequences=not last)]
        layers += [keras.layers.Dropout(DROPOUT)]
    model = keras.Sequential([*layers, keras.layers.Dense(vocabulary_size, activation="softmax")])
    model.compile(loss="categorical_crossentropy", optimizer="adam")

    def train(num_steps: int) -> None:
        count = num_steps * shape.batch_size
        assert count <= len(inputs), "the rate assumes as many windows as requested"
        model.fit(inputs[:count], targets[:count], batch_size=shape.batch_size, verbose=0)

    return train, shape.batch_size


def limit(shape: Shape, regime: str) -> tuple[Train, int]:
    """Only the matrix products of a step, in the precision that ours chooses."""
    config = shape.config(regime)
    precision = resolve_arithmetic(config, torch.device("cpu")).precision
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    num_steps, num_rows, size = config.sequence_length, shape.batch_size, shape.hidden_size
    first = EMBEDDING_DIM if regime == "stream" else 1

    def product(rows: int, inner: int, columns: int, times: int = 1) -> Callable[[], None]:
        left = torch.randn(rows, inner, dtype=dtype)
        right = torch.randn(inner, columns, dtype=dtype)
        out = torch.empty(rows, columns, dtype=dtype)

        def multiply() -> None:
            for _ in range(times):
                torch.mm(left, right, out=out)

        return multiply

    products = []
    for layer in range(shape.num_layers):
        inputs = first if layer == 0 else size
        rows = num_steps * num_rows
        products += [
            product(rows, inputs, 4 * size),  # input projection
            product(num_rows, size, 4 * size, num_steps),  # recurrence
            product(num_rows, 4 * size, size, num_steps),  # its gradient, step by step
            product(4 * size, rows, size),  # gradient of the recurrent weights
            product(4 * size, rows, inputs),  # gradient of the input weights
            product(rows, 4 * size, inputs),  # gradient of the inputs
        ]

    def train(steps: int) -> None:
        with torch.inference_mode():
            for _ in range(steps):
                for multiply in products:
                    multiply()

    return train, num_rows * (num_steps if regime == "stream" else 1)


CONTENDERS: dict[str, Callable[[Shape, str], tuple[Train, int]]] = {
    "ours": ours,
    "kernel torch": functools.partial(ours, kernel="torch"),
    "plain PyTorch": plain_pytorch,
    "Keras on JAX": keras_on_jax,
    "limit": limit,
}
