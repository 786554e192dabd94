"""Whether a search found anything, and what to do if not."""

from collections import Counter

from model.system.durations import counted, format_seconds
from tune.job.search import SearchResult, guess_of
from tune.planning.study import Study
from tune.records.trial import Status, TrialRecord
from tune.trials.first_trials import is_of_use

_FAILED = (Status.FAILED, Status.DIVERGED)
_LOWER = "lower learning rates or a gradient_clip_norm may help"


def why_nothing(study: Study, result: SearchResult) -> str:
    """Return why a search found nothing, and what to do; empty if it found something.

    Args:
        study: The search.
        result: Its result.
    """
    guess = guess_of(study)
    measured = [record for record in result.records if record.best is not None]
    if not measured:
        return f"no trial trained an epoch: {_why_no_epoch(study, result)}"
    if not any(is_of_use(record, guess) for record in measured):
        best = min(measured, key=lambda record: record.objective)
        early = f"; ended early: {result.ended_early}" if result.ended_early else ""
        return (
            f"no trial was better than a uniform guess: the best scores {best.objective:.5g} bits "
            f"per character, the guess {guess(best.config):.4f}{early}; {_LOWER}"
        )
    if all(record.status in _FAILED for record in result.records):
        return f"every trial failed: {_errors(result.records)}"
    return ""


def _why_no_epoch(study: Study, result: SearchResult) -> str:
    failed = [record for record in result.records if record.error]
    if failed:
        early = f"ended early: {result.ended_early}; " if result.ended_early else ""
        diverged = any(record.status == Status.DIVERGED for record in failed)
        return f"{early}{_errors(failed)}{f'; {_LOWER}' if diverged else ''}"
    limit = study.space.budget.time_budget_seconds
    if result.timed_out and limit is not None:
        return (
            f"the time budget of {format_seconds(limit)} ended before the first epoch; use a "
            f"larger --time-budget, a shorter text or smaller networks"
        )
    return "the search was ended before the first epoch"


def _errors(records: list[TrialRecord]) -> str:
    statuses = Counter(record.status for record in records if record.error)
    counts = ", ".join(f"{number} {status.value}" for status, number in statuses.items())
    last = [record.error for record in records if record.error][-1:]
    of = counted(len(records), "trial")
    return f"{counts} of {of}; last error: {last[0]}" if last else of
