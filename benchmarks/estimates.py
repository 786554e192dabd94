"""How accurate estimates are: `python -m benchmarks.estimates --corpus wonderland.txt`.

Compares predicted seconds per epoch, from timings of a few seconds, with measured ones for random
configurations of `full` and `extended`. Both are CPU seconds of one thread, so other work on
the machine has little effect. Long epochs are not trained to the end: the steps of a few seconds
are extrapolated.
"""

import argparse
import itertools
import time

STEPS_SECONDS = 2.0


def main() -> None:
    """Print one row per configuration and a summary of the ratios."""
    import numpy as np

    from model.config import TrialConfig
    from model.scoring.objective import prepare_corpus
    from model.system.devices import use_threads
    from model.text.corpus import resolve_corpus
    from model.text.streams import EncodedCorpus
    from model.training.cost import TextSizes
    from model.training.speed import measure_machine
    from model.training.trainer import Trainer
    from search_spaces import SPACE_NAMES, load_space
    from search_spaces.random_configs import random_configs

    def epoch_seconds(config: TrialConfig, corpus: EncodedCorpus) -> float:
        """Measure an epoch: its steps, without the first as a warm-up, and its evaluation."""
        trainer = Trainer(config, corpus)
        trainer.regime.begin_report(0, epoch_seed=0)
        trainer.train_step(1, 0)
        start = time.process_time()
        for num_steps in itertools.count(1):
            trainer.train_step(1, num_steps % trainer.steps_per_epoch)
            seconds = time.process_time() - start
            if seconds > STEPS_SECONDS or num_steps + 1 >= trainer.steps_per_epoch:
                break
        start = time.process_time()
        trainer.validation_nats()
        return seconds / num_steps * trainer.steps_per_epoch + time.process_time() - start

    parser = argparse.ArgumentParser(description="Predicted and measured seconds per epoch.")
    parser.add_argument("--corpus", help="as for tune.run")
    parser.add_argument("--spaces", nargs="+", choices=SPACE_NAMES, default=["full", "extended"])
    parser.add_argument("--configs", type=int, default=12, help="number for each space")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    use_threads(1)
    prepared = prepare_corpus(resolve_corpus(options.corpus).text, ["cased", "lower", "letters"])
    start = time.process_time()
    speed = measure_machine(
        precision="auto", kernel="auto", largest_hidden_size=1_024, num_threads=1, use_gpu=False
    ).speed
    print(f"timings: {time.process_time() - start:.1f} CPU seconds\n")
    print("| space | configuration | predicted s | measured s | ratio |\n|---|---|---|---|---|")
    ratios = []
    for name in options.spaces:
        for config in random_configs(load_space(name), options.configs, seed=options.seed):
            corpus = prepared.streams(config)
            predicted = speed.epoch_seconds(config, TextSizes.of(corpus))
            measured = epoch_seconds(config, corpus)
            ratios.append(predicted / measured)
            shape = (
                f"{config.num_layers} x {config.hidden_size}, batch {config.batch_size}, "
                f"{config.sequence_length} steps, {config.normalization}"
            )
            print(
                f"| {name} | {shape} | {predicted:.2f} | {measured:.2f} | {ratios[-1]:.2f} |",
                flush=True,
            )
    good = np.mean([0.7 <= ratio <= 1.4 for ratio in ratios])
    print(
        f"\nratio: median {np.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}; "
        f"{good:.0%} within 0.7 to 1.4"
    )


if __name__ == "__main__":
    main()
