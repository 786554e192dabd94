"""Reports useless first trials, and ends a search that has no others."""

from collections.abc import Callable, Iterable

from model.config import TrialConfig
from tune.records.trial import TrialRecord
from tune.trials.recorder import Listener

NUM_FIRST = 10
"""Number of ended trials in a session after which a search that found nothing ends."""


class FirstTrials(Listener):
    """A listener that checks whether trials beat a uniform guess."""

    def __init__(
        self,
        *,
        guess: Callable[[TrialConfig], float],
        say: Callable[[str], None],
        end: Callable[[str], None],
        earlier: Iterable[TrialRecord] = (),
    ) -> None:
        """Check the trials of a session.

        Args:
            guess: Returns what a uniform guess scores on a configuration's text, in restored
                bits per raw character.
            say: Prints a line for the user.
            end: Ends the search, for the given reason.
            earlier: The trials of earlier sessions; one useful trial suffices.
        """
        self._guess, self._say, self._end = guess, say, end
        self._has_use = any(is_of_use(record, guess) for record in earlier)
        self._ended: set[int] = set()  # a promoted trial ends again

    def trial_started(self, record: TrialRecord) -> None:
        """Wait for its epochs."""

    def epoch_ended(self, record: TrialRecord) -> None:
        """Learn that a trial is useful, even while it runs."""
        self._has_use = self._has_use or is_of_use(record, self._guess)

    def trial_recovered(self, record: TrialRecord, reason: str) -> None:
        """Wait for its epochs."""

    def trial_ended(self, record: TrialRecord) -> None:
        """Report a useless baseline or first trial; end a search that has nothing else."""
        if not record.is_done or record.number in self._ended:  # cut off, it can resume
            return
        self._ended.add(record.number)
        is_first = len(self._ended) <= NUM_FIRST
        if (record.baseline or is_first) and not is_of_use(record, self._guess):
            self._say(self._line(record))
        if len(self._ended) == NUM_FIRST and not self._has_use:
            self._end(f"the first {NUM_FIRST} trials that ended were of no use, all of them")

    def _line(self, record: TrialRecord) -> str:
        name = f"trial {record.number}" + (f" ({record.baseline})" if record.baseline else "")
        if record.best is None:
            return f"{name} is of no use: {record.error or 'it trained no epoch'}"
        return (
            f"{name} is of no use: {record.objective:.5g} bits per character, where a uniform "
            f"guess has {self._guess(record.config):.4f}"
        )


def is_of_use(record: TrialRecord, guess: Callable[[TrialConfig], float]) -> bool:
    """Return whether a trial has an epoch that is no worse than a uniform guess."""
    return record.best is not None and record.objective <= guess(record.config)
