"""What the earlier sessions of a search found, and whether it is over.

A search that has ended stays ended: a later session only has finalists to train. It continues if
more is requested than it ended with, or if it did not end, for example because its driver was
killed.
"""

import math
from collections.abc import Collection

from tune.job.search import SearchResult, asha_of, promoted
from tune.job.steering import additions
from tune.planning.study import EarlierSessions, Study
from tune.planning.training_time import num_settled
from tune.records.search_record import SearchEnded, SearchRecord
from tune.records.trial import TrialRecord, num_done


def found_before(study: Study, earlier: EarlierSessions) -> SearchResult:
    """Return the result of the earlier sessions.

    Args:
        study: The search, as requested now.
        earlier: Those sessions.
    """
    records = earlier.search.records.values()
    ended = _end_of(study, earlier.search)
    is_cut = _is_late(study, earlier) and num_done(records) < _num_asked(study, records)
    return SearchResult(
        records=list(records),
        seconds=earlier.seconds,
        interrupted=False,
        timed_out=ended.timed_out if ended else is_cut,
        ended_early=ended.ended_early if ended else "",
    )


def is_spent(study: Study, earlier: EarlierSessions, concurrent: int) -> bool:
    """Return whether the search is over, or its budget allows no further trial.

    Args:
        study: The search, as requested now.
        earlier: Its earlier sessions.
        concurrent: How many trials run at once.
    """
    search = earlier.search
    if _end_of(study, search) or _is_late(study, earlier):
        return True
    records = search.records.values()
    # More trials may have ended than a smaller budget allows.
    is_done = num_settled(study, records, concurrent) >= _num_asked(study, records)
    return is_done and not additions(search) and not _has_promotion(study, earlier)


def _num_asked(study: Study, records: Collection[TrialRecord]) -> int:
    """Return the total number of trials, including those that a user added after the last."""
    num_after = sum(bool(each.order_id) and each.number >= study.num_trials for each in records)
    return study.num_trials + num_after


def _end_of(study: Study, search: SearchRecord) -> SearchEnded | None:
    """Return how a search ended; None if it did not, or if more is requested now."""
    ended, budget = search.ended, study.space.budget
    if ended is None:
        return None
    seconds, ended_seconds = (b.time_budget_seconds or math.inf for b in (budget, ended))
    # If the time is over, there is none for more trials either.
    has_more_trials = budget.trials > ended.trials or bool(additions(search))
    goes_on = (
        seconds > ended_seconds
        or (has_more_trials and not ended.timed_out)
        or (ended.is_settled and not study.settings.stop_when_settled)
    )
    return None if goes_on else ended


def _is_late(study: Study, earlier: EarlierSessions) -> bool:
    """Return whether the time budget is used up, perhaps only by the finalists."""
    limit = study.space.budget.time_budget_seconds
    return limit is not None and earlier.seconds >= limit


def _has_promotion(study: Study, earlier: EarlierSessions) -> bool:
    """Return whether a trial is due for promotion, given that no new one will come.

    A driver may be killed between the end of the last trial and the next proposal.
    """
    search, limit = earlier.search, study.space.budget.time_budget_seconds
    scheduler = asha_of(study, search)
    scheduler.replay(search.records.values())
    left = None if limit is None else limit - earlier.seconds
    return promoted(scheduler, search, is_last=True, seconds_left=left) is not None
