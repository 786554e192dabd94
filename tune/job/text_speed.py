"""Times what a character of text takes by the best trials' networks, once the search has ended."""

from collections.abc import Iterable

from model.generation.decoding import milliseconds_per_symbol
from model.network.lstm import build_network
from model.text.held_out import LONG_TEXT_CHARS
from tune.planning.finalist_budget import choose
from tune.planning.study import Study
from tune.records.trial import TrialRecord

TIMED_TRIALS = 20
"""The best so many, and all baselines: a tenth of a second each, 0.25 s of `full`'s largest."""


def time_text(study: Study, records: Iterable[TrialRecord]) -> None:
    """Fill in `milliseconds_per_char` of the best trials and of the baselines.

    The finalists and the kept checkpoints are among them. Untrained networks are timed, for they
    take as long: no checkpoint need be there, and all are timed on this machine, one by one. Words
    and bytes of a long text are left out: cutting it into them takes minutes.

    Args:
        study: The search.
        records: Its trials.
    """
    is_long = len(study.corpus.text) > LONG_TEXT_CHARS
    most = max(TIMED_TRIALS, study.settings.finalists)
    for record in choose(records, most, study.space.budget.group):
        if record.vocabulary_size is None or (is_long and record.config.unit != "char"):
            continue
        network = build_network(record.config, record.vocabulary_size)
        network.use_kernel(record.kernel)
        symbols_per_char = study.prepared.streams(record.config).validation.symbols_per_char
        record.milliseconds_per_char = milliseconds_per_symbol(network) * symbols_per_char
