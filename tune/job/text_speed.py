"""Times how long the best trials' networks take per character, once the search has ended."""

from collections.abc import Iterable, Mapping

from model.errors import ConfigError
from model.generation.decoding import milliseconds_per_symbol
from model.network.lstm import build_network
from model.text.held_out import LONG_TEXT_CHARS
from tune.planning.finalist_budget import choose
from tune.planning.study import Study
from tune.records.run_folder import RunFolder
from tune.records.tables import TRIAL_TABLE
from tune.records.trial import TrialRecord

TIMED_TRIALS = 20
"""Number of best trials; all baselines too. 0.1 s each, 0.25 s for `full`'s largest network."""


def keep_times(folder: RunFolder, records: Mapping[int, TrialRecord]) -> None:
    """Fill in `milliseconds_per_char` of the trials that an earlier session has timed.

    The history does not have it; without a table that can be read, all are timed again.

    Args:
        folder: The run, as that session left it, on this machine.
        records: Its trials, by number.
    """
    try:
        trials = TRIAL_TABLE.read(folder.trials_file)
    except ConfigError:
        return
    timed = trials[trials["milliseconds_per_char"].notna()]
    for number, milliseconds in zip(timed["number"], timed["milliseconds_per_char"], strict=True):
        if number in records:  # a copy of the table may be newer than that of the history
            records[number].milliseconds_per_char = float(milliseconds)


def time_text(study: Study, records: Iterable[TrialRecord]) -> None:
    """Fill in `milliseconds_per_char` of the best trials and of all baselines that reported.

    Times from an earlier session are kept. These include the finalists and the kept checkpoints.
    Untrained networks are timed, since they take as long: no checkpoint is needed, and all are
    timed on this machine, one by one. Words and bytes of a long text are left out, because
    splitting the text takes minutes.

    Args:
        study: The search.
        records: Its trials.
    """
    records = list(records)
    per_char: dict[tuple[str, str], float] = {}  # an unknown word is a symbol, too
    is_long = len(study.corpus.text) > LONG_TEXT_CHARS
    most = max(TIMED_TRIALS, study.settings.finalists)
    best = choose(records, most, study.space.budget.group)
    cut_off = [each for each in records if each.baseline and each.best and each not in best]
    for record in [*best, *cut_off]:
        if record.milliseconds_per_char is not None or record.vocabulary_size is None:
            continue
        if is_long and record.config.unit != "char":
            continue
        network = build_network(record.config, record.vocabulary_size)
        network.use_kernel(record.kernel, record.precision or "float32")
        kind = record.config.unit, record.config.cleaning
        if kind not in per_char:
            per_char[kind] = study.prepared.streams(record.config).validation.symbols_per_char
        record.milliseconds_per_char = milliseconds_per_symbol(network) * per_char[kind]
