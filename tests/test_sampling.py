"""The adapter between Ray's Searcher interface and Optuna."""

import dataclasses
import pickle
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search_spaces import SearchSpace, load_space
from tune.outcome import RUNNING_BEST, Outcome
from tune.sampling import StudySearcher, open_study

QUICK = load_space("quick")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def make(
    folder: Path, *, seed: int = 0, space: SearchSpace = QUICK
) -> tuple[StudySearcher, optuna.Study]:
    study = open_study(folder / "optuna.journal", space, seed=seed)
    return StudySearcher(study, space, seed=seed), study


def result(epoch: int, bits: float, outcome: Outcome = Outcome.TRAINING) -> dict[str, object]:
    return {"epoch": epoch, RUNNING_BEST: bits, "outcome": outcome.value}


def test_baselines_come_first_then_the_base(tmp_path: Path) -> None:
    searcher, _ = make(tmp_path)
    proposals = [searcher.suggest(str(number)) for number in range(5)]
    names = [baseline.name for baseline in QUICK.baselines]
    assert [proposal["baseline"] for proposal in proposals] == [*names, "", ""]
    for proposal, baseline in zip(proposals[:3], QUICK.baselines, strict=True):
        assert dict(baseline.params).items() <= proposal["config"].items()
    start = QUICK.start()
    assert start is not None and start.items() <= proposals[3]["config"].items()
    assert [proposal["number"] for proposal in proposals] == [0, 1, 2, 3, 4]
    assert len({proposal["config"]["seed"] for proposal in proposals}) == 5


def test_each_ending_has_its_state(tmp_path: Path) -> None:
    searcher, study = make(tmp_path)
    for name in ("finished", "pruned", "diverged", "failed", "cut off"):
        searcher.suggest(name)
    for name in ("finished", "pruned", "cut off"):
        searcher.on_trial_result(name, result(1, 3.0))
    searcher.on_trial_complete("finished", result(2, 2.5, Outcome.FINISHED))
    searcher.on_trial_complete("pruned", result(2, 2.9))
    searcher.on_trial_complete("diverged", {"outcome": Outcome.DIVERGED.value})
    searcher.on_trial_complete("failed", error=True)
    searcher.stop_running()
    states = [trial.state for trial in study.trials]
    assert states == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
        TrialState.FAIL,
        TrialState.PRUNED,
    ]
    assert study.trials[0].value == 2.5
    assert study.trials[0].intermediate_values == {1: 3.0, 2: 2.5}
    assert study.trials[1].intermediate_values == {1: 3.0, 2: 2.9}
    assert study.trials[2].user_attrs["diverged"]
    assert study.trials[4].user_attrs["stopped"]


def test_same_seed_gives_the_same_proposals(tmp_path: Path) -> None:
    def proposals(folder: str, seed: int) -> list[object]:
        (tmp_path / folder).mkdir()
        searcher, _ = make(tmp_path / folder, seed=seed)
        made = []
        for number in range(16):  # past the random start, into TPE's own
            made.append(searcher.suggest(str(number)))
            searcher.on_trial_complete(
                str(number), result(1, 2.0 + number % 5 / 10, Outcome.FINISHED)
            )
        return made

    assert proposals("a", 0) == proposals("b", 0)
    assert proposals("c", 1) != proposals("a2", 0)


def test_sixteen_at_once_do_not_pile_up(tmp_path: Path) -> None:
    searcher, _ = make(tmp_path)
    for number in range(24):
        searcher.suggest(str(number))
        searcher.on_trial_complete(str(number), result(1, 2 + number / 50, Outcome.FINISHED))
    at_once = [searcher.suggest(f"live {number}")["config"] for number in range(16)]
    points = {
        tuple(sorted((axis, config[axis]) for axis in QUICK.distributions)) for config in at_once
    }
    assert len(points) == 16


def test_space_without_axes_proposes_its_baselines(tmp_path: Path) -> None:
    documented = load_space("documented")
    searcher, _ = make(tmp_path, space=documented)
    for baseline in documented.baselines:
        proposal = searcher.suggest(baseline.name)
        assert proposal["baseline"] == baseline.name
        assert dict(baseline.params).items() <= proposal["config"].items()


def test_reopened_journal_holds_the_same_study(tmp_path: Path) -> None:
    searcher, study = make(tmp_path)
    searcher.suggest("one")
    searcher.on_trial_complete("one", result(1, 2.0, Outcome.FINISHED))
    _, reopened = make(tmp_path)
    assert len(reopened.trials) == len(study.trials)  # nothing is enqueued twice
    assert reopened.best_value == 2.0


def test_ray_can_pickle_the_searcher(tmp_path: Path) -> None:
    searcher, _ = make(tmp_path)
    pickle.dumps(searcher)


def test_base_outside_the_axes_is_not_tried(tmp_path: Path) -> None:
    base = dataclasses.replace(QUICK.base, hidden_size=4_096)
    space = dataclasses.replace(QUICK, base=base)
    assert space.start() is None
    _, study = make(tmp_path, space=space)
    assert len(study.trials) == 3
