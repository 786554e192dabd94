"""Trials of two sizes on a real Ray with memory for one of the larger or two of the smaller.

Prints one JSON list: for each report, its trial and the bytes that each living placement group
holds; then each trial's request, and how each ended; then, for a trial of the smaller size after
trials that exceeded their estimates, the first item again, and its measured and estimated memory.
"""

import dataclasses
import io
import json
import sys
from pathlib import Path

import ray
from rich.console import Console

from model.config import TrialConfig
from model.scoring.objective import PreparedCorpus, prepare_corpus
from model.training.cost import TextSizes
from search_spaces import SearchSpace, load_space
from tune.cluster.resources import TrialResources
from tune.cluster.shared_corpus import SharedCorpus
from tune.cluster.trial_memory import GIBIBYTE, TrialMemory
from tune.job.finalists import FinalistSearcher
from tune.monitoring.progress import Progress
from tune.records.history import History
from tune.records.trial import TrialRecord
from tune.storage.checkpoints import CheckpointStore
from tune.trials.experiment import run_trials
from tune.trials.recorder import Recorder
from tune.trials.stopper import SearchStopper
from tune.trials.trainable import trainable_for


def held_bytes() -> list[int]:
    """Return the memory of each placement group that Ray has created."""
    groups = ray.util.placement_group_table().values()
    living = [group for group in groups if group["state"] == "CREATED"]
    return sorted(int(group["bundles"][0]["memory"]) for group in living)


class Spy:
    """Looks at Ray at each report."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, list[int]]] = []

    def trial_started(self, record: TrialRecord) -> None:
        """Nothing."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """Look."""
        self.seen.append((record.number, held_bytes()))

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """Nothing."""

    def trial_ended(self, record: TrialRecord) -> None:
        """Nothing."""


def main() -> None:
    """Run six trials on two CPUs."""
    space = load_space("quick")
    corpus = prepare_corpus(Path(sys.argv[1]).read_text(encoding="utf-8"), ["lower"])
    small = TrialConfig(
        epochs=2,
        hidden_size=8,
        batch_size=4,
        sequence_length=16,
        precision="float32",
        kernel="torch",
    )
    large = dataclasses.replace(small, hidden_size=9)
    configs = [small, large, large, small, small, large]
    exact = TrialMemory(
        sizes={("lower", "char"): TextSizes.of(corpus.encoded["lower"])},
        process_bytes=0,
        smallest=small,
        largest=large,
        one_size=False,
    )
    between = (exact.needed_bytes(small) + exact.needed_bytes(large)) // 2
    # One size is just below a GiB, the other just above.
    memory = dataclasses.replace(exact, process_bytes=GIBIBYTE - between)
    need = TrialResources(memory=memory)
    ray.init(
        address="local",
        num_cpus=2,
        _memory=2 * GIBIBYTE,
        include_dashboard=False,
        log_to_driver=False,
    )
    seen, records = searched(need, space, corpus, configs, name="first")
    # As if trials had slightly exceeded their estimates: the smaller size requests more.
    more, (corrected,) = searched(
        need, space, corpus, [small], name="corrected", memory_excess_bytes=GIBIBYTE // 100
    )
    took = [corrected.peak_memory_bytes, corrected.estimated_memory_bytes]
    asked = [memory.asked_bytes(config) for config in configs]
    print(json.dumps([seen, asked, [record.status for record in records], more, took]))


def searched(
    need: TrialResources,
    space: SearchSpace,
    corpus: PreparedCorpus,
    configs: list[TrialConfig],
    *,
    name: str,
    memory_excess_bytes: int = 0,
) -> tuple[list[tuple[int, list[int]]], list[TrialRecord]]:
    """Train configurations, two at once; return what the spy saw, and the records."""
    spy, stopper = Spy(), SearchStopper(None)
    progress = Progress(
        Console(file=io.StringIO()),
        space,
        num_trials=len(configs),
        clock=stopper.seconds,
        seconds_left=stopper.seconds_left,
    )
    with History(Path(f"{name}.jsonl")) as history:
        run_trials(
            trainable_for(SharedCorpus.of(corpus), need),
            searcher=FinalistSearcher(
                [
                    {"number": n, "baseline": "", "config": c.to_dict(), "checkpoints": []}
                    for n, c in enumerate(configs)
                ]
            ),
            concurrent=lambda: 2,
            store=CheckpointStore(str(Path(name).resolve())),
            stopper=stopper,
            recorder=Recorder(history, stopper, save=lambda records: None, listeners=[spy]),
            display=progress,
            memory_excess_bytes=memory_excess_bytes,
        )
        records = [history.records[number] for number in sorted(history.records)]
    return spy.seen, records


if __name__ == "__main__":
    main()
