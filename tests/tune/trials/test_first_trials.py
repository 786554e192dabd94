"""First trials that are of no use are told, and a search of nothing else is ended."""

import dataclasses

import pytest

from hand_made_trials import RECORDS, record
from model.scoring.objective import prepare_corpus, uniform_guess_bits_per_char
from tune.records.trial import Status, TrialRecord
from tune.trials.first_trials import NUM_FIRST, FirstTrials

GUESS = 4.7


def told(
    records: list[TrialRecord], earlier: list[TrialRecord] | None = None
) -> tuple[list[str], list[str]]:
    """Return the lines of a session, and why it was ended, if it was."""
    said: list[str] = []
    ended: list[str] = []
    first = FirstTrials(
        guess=lambda config: GUESS,
        say=said.append,
        end=ended.append,
        earlier=earlier or [],
    )
    for each in records:
        first.trial_started(each)
        if each.epochs:
            first.epoch_ended(each)
        if each.status != Status.RUNNING:
            first.trial_ended(each)
    return said, ended


def of_status(number: int, bits: list[float], status: Status) -> TrialRecord:
    failed = status in (Status.FAILED, Status.DIVERGED)
    return record(number, bits, status, error="training diverged" if failed else "")


USELESS = {
    "worthless": ([3.5e29], Status.COMPLETE),
    "just worse than a guess": ([4.71, 4.7001], Status.PRUNED),
    "diverged": ([], Status.DIVERGED),
    "failed": ([], Status.FAILED),
}


@pytest.mark.parametrize("kind", USELESS)
def test_search_of_useless_trials_alone_is_ended(kind: str) -> None:
    bits, status = USELESS[kind]
    useless = [of_status(number, bits, status) for number in range(NUM_FIRST)]
    said, ended = told(useless)
    assert len(said) == NUM_FIRST and len(ended) == 1
    assert said[0].startswith("trial 0 is of no use: ")
    if bits:
        assert "where a uniform guess has 4.7000" in said[0]
    else:
        assert "training diverged" in said[0]
    assert told(useless[:-1])[1] == []


def test_trial_that_is_promoted_and_ends_again_is_one_trial() -> None:
    useless = [of_status(number, [9.0], Status.PRUNED) for number in range(NUM_FIRST)]
    said, ended = told([*useless[:-1], useless[0], useless[3]])
    assert len(said) == NUM_FIRST - 1 and ended == []
    assert len(told([*useless[:-1], useless[0], useless[-1]])[1]) == 1


@pytest.mark.parametrize("place", [0, 5, 9])
def test_one_trial_of_use_keeps_a_search_going(place: int) -> None:
    useless = [of_status(number, [9.0], Status.COMPLETE) for number in range(30)]
    good = record(40, [2.0], Status.COMPLETE)
    assert told([*useless[:place], good, *useless[place:]])[1] == []
    assert told([record(41, [2.0], Status.RUNNING), *useless])[1] == []  # it runs still
    assert told(useless, earlier=[good])[1] == []
    # Who resumes a search that found nothing gets as many trials again.
    assert len(told(useless[:10], earlier=useless[10:])[1]) == 1


def test_baselines_are_told_of_later_too_and_others_no_more() -> None:
    useless = [of_status(number, [9.0], Status.COMPLETE) for number in range(20)]
    baseline = dataclasses.replace(useless[15], baseline="experiment 0")
    said, _ = told([record(50, [2.0], Status.COMPLETE), *useless[:15], baseline])
    assert len(said) == NUM_FIRST - 1 + 1
    assert said[-1].startswith("trial 15 (experiment 0) is of no use: 9 bits")
    assert told(RECORDS)[1] == []


def test_uniform_guess_follows_from_the_vocabulary_and_the_price(tiny_text: str) -> None:
    prepared = prepare_corpus("01234567" * 400, ["cased"])
    assert uniform_guess_bits_per_char(prepared.encoded["cased"]) == 3.0
    prepared = prepare_corpus(tiny_text, ["cased", "letters"])
    for encoded in prepared.encoded.values():
        kept = encoded.validation.num_chars / encoded.validation.num_raw_chars
        own = uniform_guess_bits_per_char(encoded) - encoded.validation.restoration_bits_per_char
        assert 2 ** (own / kept) == pytest.approx(len(encoded.vocabulary))


def test_baseline_that_has_had_its_time_is_told_of() -> None:
    cut = of_status(0, [4.8], Status.STOPPED)
    cut.baseline = "experiment 1"
    assert told([cut]) == ([], [])  # it goes on in the next session
    cut.has_had_its_time = True
    (line,), _ = told([cut])
    assert line.startswith("trial 0 (experiment 1) is of no use: 4.8 bits")
