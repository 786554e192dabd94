"""A search as in Ray's and Optuna's tutorials, with which benchmarks.ten_minutes compares ours.

A function trainable, plain PyTorch (nn.LSTM, float32, Adam, a DataLoader of shuffled sequences),
Ray's OptunaSearch and ASHAScheduler with their defaults. The axes are those of `full`, with the
same ranges, and trials are scored like ours: restored bits of the whole validation passage,
entered with the state carried over the text before it. It does not get our trainer, our
base configuration, the reference's configurations as a start, or reused actors.
"""

import argparse
import json
import math
import tempfile
from typing import Any

import ray
import ray.tune as ray_tune
import torch
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from model.scoring.objective import PreparedCorpus, prepare_corpus, restored_bits_per_char
from model.text.corpus import resolve_corpus
from model.text.held_out import with_short_held_out
from model.text.streams import EncodedCorpus

SEQUENCE_LENGTH = 100
EMBEDDING_DIM = 64
LEARNING_RATE = 2e-3
CONTEXT_CHARS = 1_000
MAX_EPOCHS = 64
METRIC = "val_bits_per_char"


class CharLSTM(nn.Module):
    """Embedding, LSTM, dropout, output."""

    def __init__(self, vocabulary_size: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, EMBEDDING_DIM)
        self.lstm = nn.LSTM(
            EMBEDDING_DIM,
            config["hidden_size"],
            config["num_layers"],
            batch_first=True,
            dropout=config["dropout"] if config["num_layers"] > 1 else 0.0,
        )
        self.dropout = nn.Dropout(config["dropout"])
        self.output = nn.Linear(config["hidden_size"], vocabulary_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits after each symbol."""
        hidden, _ = self.lstm(self.embedding(inputs))
        logits: Tensor = self.output(self.dropout(hidden))
        return logits


@torch.no_grad()
def bits_per_char(model: CharLSTM, corpus: EncodedCorpus) -> float:
    """Return the objective: the whole passage in one pass, after its context."""
    model.eval()
    context, passage = (
        torch.from_numpy(part.astype("int64"))
        for part in (corpus.train.symbols[-CONTEXT_CHARS:], corpus.validation.symbols)
    )
    symbols = torch.cat([context, passage])
    logits = model(symbols[None, :-1])[0, len(context) - 1 :]
    nats = functional.cross_entropy(logits, passage, reduction="sum").item()
    model.train()
    return restored_bits_per_char(nats / math.log(2), corpus.validation)


def train(config: dict[str, Any], corpus: PreparedCorpus) -> None:
    """Train a configuration and report after each epoch."""
    torch.set_num_threads(1)
    encoded = corpus.encoded[config["cleaning"]]
    symbols = torch.from_numpy(encoded.train.symbols.astype("int64"))
    count = (len(symbols) - 1) // SEQUENCE_LENGTH * SEQUENCE_LENGTH
    inputs = symbols[:count].view(-1, SEQUENCE_LENGTH)
    targets = symbols[1 : count + 1].view(-1, SEQUENCE_LENGTH)
    loader = DataLoader(
        TensorDataset(inputs, targets), batch_size=config["batch_size"], shuffle=True
    )
    model = CharLSTM(len(encoded.vocabulary), config)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    best = math.inf
    for _ in range(config["epochs"]):
        for batch_inputs, batch_targets in loader:
            optimizer.zero_grad()
            logits = model(batch_inputs)
            loss = functional.cross_entropy(logits.flatten(0, 1), batch_targets.flatten())
            loss.backward()  # type: ignore[no-untyped-call]  # of torch
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        best = min(best, bits_per_char(model, encoded))
        ray_tune.report({METRIC: best})


def main() -> None:
    """Search for a number of seconds, and print the result as JSON."""
    parser = argparse.ArgumentParser(description="A stock search, to compare with.")
    parser.add_argument("--corpus", default="../shared/data/wonderland.txt")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    text = with_short_held_out(resolve_corpus(options.corpus))  # scored on the same part as ours
    corpus = prepare_corpus(text.text, ["cased", "lower", "letters"], lengths=text.lengths)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    folder = tempfile.TemporaryDirectory()
    tuner = ray_tune.Tuner(
        ray_tune.with_parameters(train, corpus=corpus),
        param_space={
            "epochs": ray_tune.lograndint(8, MAX_EPOCHS + 1),
            "hidden_size": ray_tune.lograndint(64, 513),
            "batch_size": ray_tune.choice([8, 16, 32, 64, 128]),
            "dropout": ray_tune.uniform(0.0, 0.7),
            "num_layers": ray_tune.randint(1, 4),
            "cleaning": ray_tune.choice(["cased", "lower", "letters"]),
        },
        tune_config=ray_tune.TuneConfig(
            metric=METRIC,
            mode="min",
            search_alg=ConcurrencyLimiter(
                OptunaSearch(seed=options.seed), int(ray.cluster_resources()["CPU"])
            ),
            scheduler=ASHAScheduler(max_t=MAX_EPOCHS),
            num_samples=-1,
            time_budget_s=options.seconds,
        ),
        run_config=ray_tune.RunConfig(verbose=0, storage_path=folder.name),
    )
    results = [result.metrics or {} for result in tuner.fit()]
    found = {
        "bits": min((result[METRIC] for result in results if METRIC in result), default=math.inf),
        "trials": len(results),
        "epochs": sum(result.get("training_iteration", 0) for result in results),
    }
    print(json.dumps(found))
    folder.cleanup()


if __name__ == "__main__":
    main()
