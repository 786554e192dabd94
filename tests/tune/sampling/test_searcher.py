"""The adapter between Ray's Searcher interface and Optuna."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hand_made_trials import epoch_record
from model.config import TrialConfig
from model.errors import ConfigError
from search_spaces import Budget, SearchSpace, load_space
from search_spaces.distributions import distance
from search_spaces.narrow import with_choices
from tune.records.trial import RUNNING_BEST, Outcome, Status, TrialRecord
from tune.sampling.optuna_study import open_study, queue, quiet_optuna
from tune.sampling.own_samplers import Replay
from tune.sampling.samplers import LEARNING_NOTHING, SAMPLERS
from tune.sampling.searcher import StudySearcher

QUICK = load_space("quick")
AXES = tuple(QUICK.distributions.items())
LEARNING = [
    # A Gaussian process takes a tenth of a second and more for each proposal.
    pytest.param(name, marks=pytest.mark.slow) if name == "gp" else name
    for name in SAMPLERS
    if name not in LEARNING_NOTHING
]
EACH_SAMPLER = [*LEARNING, *LEARNING_NOTHING]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


CONDITIONAL = dataclasses.replace(
    QUICK,
    distributions={
        **QUICK.distributions,
        "normalization": CategoricalDistribution(("none", "layer")),
        "weight_decay": FloatDistribution(0.01, 0.3),
    },
    conditions={"weight_decay": ("normalization", "layer")},
    baselines=(),
)


def make(
    folder: Path, *, seed: int = 0, space: SearchSpace = QUICK, sampler: str = "tpe"
) -> tuple[StudySearcher, optuna.Study]:
    folder.mkdir(exist_ok=True)
    study = open_study(folder / "optuna.journal", space)
    return StudySearcher(study, space, seed=seed, sampler=sampler), study


def result(epoch: int, bits: float, outcome: Outcome = Outcome.TRAINING) -> dict[str, object]:
    return {"report": epoch, RUNNING_BEST: bits, "outcome": outcome.value}


def test_baselines_come_first_then_the_base(tmp_path: Path) -> None:
    searcher, _ = make(tmp_path)
    proposals = [searcher.suggest(str(number)) for number in range(5)]
    names = [baseline.name for baseline in QUICK.baselines]
    assert [proposal["baseline"] for proposal in proposals] == [*names, "", ""]
    for proposal, baseline in zip(proposals[:3], QUICK.baselines, strict=True):
        assert dict(baseline.params).items() <= proposal["config"].items()
    (base,) = QUICK.all_starts()
    assert base.items() <= proposals[3]["config"].items()
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
    searcher.on_trial_complete("diverged", {"outcome": Outcome.DIVERGED.value, "error": "NaN"})
    searcher.on_trial_complete("failed", error=True)
    searcher.fail("failed", "ValueError: no")
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
    assert study.trials[2].user_attrs["error"] == "NaN"
    assert study.trials[3].user_attrs["error"] == "ValueError: no"
    assert study.trials[4].user_attrs["stopped"]


def bits(config: dict[str, Any]) -> float:
    """A made-up objective: the larger and the less dropped out, the better."""
    return 3.0 - config["hidden_size"] / 400 + config["dropout"] + config["seed"] % 7 / 100


def run_trials(searcher: StudySearcher, numbers: range) -> list[dict[str, Any]]:
    """Let trials run one after another, every third of them pruned."""
    proposals = []
    for number in numbers:
        proposals.append(searcher.suggest(str(number)))
        value = bits(proposals[-1]["config"])
        outcome = Outcome.TRAINING if number % 3 == 2 else Outcome.FINISHED
        searcher.on_trial_complete(str(number), result(1, value, outcome))
    return proposals


def num_trials(sampler: str, most: int) -> int:
    """Return a test's trials: models begin with the fourth; a Gaussian process is slow."""
    return most // 2 if sampler == "gp" else most


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_same_seed_gives_the_same_proposals(tmp_path: Path, sampler: str) -> None:
    def proposals(folder: str, seed: int) -> list[dict[str, Any]]:
        searcher, _ = make(tmp_path / folder, seed=seed, sampler=sampler)
        # Past the random start, into the model's own.
        return run_trials(searcher, range(num_trials(sampler, 20)))

    first = proposals("a", 0)
    assert first == proposals("b", 0)
    assert first != proposals("c", 1)


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_numbers_are_of_their_axes_kinds_and_as_optuna_keeps_them(
    tmp_path: Path, sampler: str
) -> None:
    kinds = {"num_layers": int, "hidden_size": int, "batch_size": int, "dropout": float}
    kinds |= {"learning_rate": float, "weight_decay": float, "cleaning": str}
    more = {
        "learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
        "weight_decay": FloatDistribution(0.0, 0.3, step=0.1),
    }
    space = dataclasses.replace(QUICK, distributions={**QUICK.distributions, **more}, baselines=())
    searcher, study = make(tmp_path, space=space, sampler=sampler)
    proposals = run_trials(searcher, range(num_trials(sampler, 24)))
    configs = [proposal["config"] for proposal in proposals]
    kept = [trial.params for trial in study.trials if "repeat" not in trial.user_attrs]
    for config, params in zip(configs, kept, strict=True):
        assert {axis: type(config[axis]) for axis in kinds} == kinds
        assert {**space.config(params).to_dict(), "seed": config["seed"]} == config


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_resumed_search_proposes_what_the_whole_one_did(tmp_path: Path, sampler: str) -> None:
    earlier, whole = num_trials(sampler, 20), num_trials(sampler, 24)
    expected = run_trials(make(tmp_path / "whole", sampler=sampler)[0], range(whole))
    first, _ = make(tmp_path, sampler=sampler)
    assert run_trials(first, range(earlier)) == expected[:earlier]
    records = [
        dataclasses.replace(
            record(
                number,
                [bits(proposal["config"])],
                Status.PRUNED if number % 3 == 2 else Status.COMPLETE,
                proposal["baseline"],
            ),
            config=TrialConfig.from_dict(proposal["config"]),
            generation=proposal["generation"],
        )
        for number, proposal in enumerate(expected[:earlier])
    ]
    study = open_study(tmp_path / "optuna.journal", QUICK, records=records)
    resumed = StudySearcher(study, QUICK, seed=0, sampler=sampler, records=records)
    assert run_trials(resumed, range(earlier, whole)) == expected[earlier:]


@pytest.mark.parametrize("sampler", ["tpe", "tpe-univariate", "cmaes"])
def test_resumed_search_has_each_trial_once_as_the_whole_one_has(
    tmp_path: Path, sampler: str
) -> None:
    """Trials that went on from rungs, and a baseline that has had its time."""
    records: dict[int, TrialRecord] = {}
    waiting: list[int] = []

    def promotion(is_last: bool) -> tuple[TrialRecord, list[str]] | None:
        return (records[waiting.pop(0)], []) if waiting else None

    space = dataclasses.replace(QUICK, budget=dataclasses.replace(QUICK.budget, trials=60))
    study = open_study(tmp_path / "whole.journal", space)
    whole = StudySearcher(study, space, seed=0, sampler=sampler, promotion=promotion)

    def run(count: int) -> None:
        for _ in range(count):
            proposal = whole.suggest("next")
            assert isinstance(proposal, dict)
            config = TrialConfig.from_dict(proposal["config"])
            number, baseline = proposal["number"], proposal["baseline"]
            value = bits(proposal["config"]) + number % 5 / 10
            if number == 2:  # as the clock leaves a baseline
                ended = record(number, [value], Status.STOPPED, baseline)
                ended.has_had_its_time = True
            elif number in records:
                whole.on_trial_result("next", result(1, value))
                ended = record(number, [value, value - 1], Status.COMPLETE, baseline)
            else:
                ended = record(number, [value], Status.PRUNED, baseline)
            is_whole = ended.status is Status.COMPLETE
            outcome = Outcome.FINISHED if is_whole else Outcome.TRAINING
            last = ended.epochs[-1]
            whole.on_trial_complete("next", result(last.report, last.val_bits_per_char, outcome))
            started = max((each.started_seconds for each in records.values()), default=0.0) + 1
            records[number] = dataclasses.replace(
                ended,
                config=config,
                generation=proposal["generation"],
                started_seconds=started,
            )

    run(24)
    for promoted in (4, 7, 11, 15, 16):
        waiting.append(promoted)
        run(1)
    run(6)
    known = list(records.values())
    resumed = StudySearcher(
        open_study(tmp_path / "resumed.journal", space, records=known),
        space,
        seed=0,
        sampler=sampler,
        records=known,
        next_baseline=lambda num_proposed: "",  # the one that had its time stays as it is
    )
    for _ in range(4):
        assert resumed.suggest("a") == whole.suggest("b")


@pytest.mark.slow
def test_what_cma_es_keeps_changes_no_proposal(tmp_path: Path) -> None:
    kept, fresh = (make(tmp_path / name, sampler="cmaes")[0] for name in ("kept", "fresh"))
    ends: dict[int, list[int]] = {}
    num_told_again = 0
    for number in range(70):
        fresh._replay = Replay()
        told = kept._replay.told
        proposals = [searcher.suggest(str(number)) for searcher in (kept, fresh)]
        assert proposals[0] == proposals[1]
        num_told_again += kept._replay.told[: len(told)] != told
        # A trial that ends late takes the place of another in its generation.
        ends.setdefault(number + (11 if number % 5 == 0 else 2), []).append(number)
        for ended in ends.pop(number, []):
            value = bits(proposals[0]["config"])
            outcome = Outcome.TRAINING if ended % 3 == 2 else Outcome.FINISHED
            for searcher in (kept, fresh):
                searcher.on_trial_complete(str(ended), result(1, value, outcome))
    assert len(kept._replay.told) >= 5 and num_told_again


def test_cma_es_moves_on_by_its_generations_and_keeps_no_pickle(tmp_path: Path) -> None:
    searcher, study = make(tmp_path, sampler="cmaes")
    proposals = run_trials(searcher, range(60))
    generations = [each["generation"] for each in proposals if each["generation"] is not None]
    assert generations == sorted(generations) and generations[-1] >= 5
    # A smaller dropout is better here.
    dropouts = [proposal["config"]["dropout"] for proposal in proposals]
    assert np.mean(dropouts[-10:]) < np.mean(dropouts[10:20])
    attributes = {name for trial in study.trials for name in trial.system_attrs}
    assert {name for name in attributes if name.startswith("cma:")} == {"cma:generation"}
    # optuna 5.0's own leaves its pickles there.
    own = optuna.create_study(sampler=optuna.samplers.CmaEsSampler(seed=0))
    own.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1), 30)
    assert any("cma:optimizer" in name for trial in own.trials for name in trial.system_attrs)


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_proposal_that_was_lost_with_its_driver_is_made_again(
    tmp_path: Path, sampler: str
) -> None:
    expected = run_trials(make(tmp_path / "whole", sampler=sampler)[0], range(9))

    def proposed(records: list[TrialRecord]) -> dict[str, Any]:
        """Return what a driver proposes first that goes on after these."""
        study = open_study(tmp_path / "optuna.journal", QUICK, records=records)
        searcher = StudySearcher(study, QUICK, seed=0, sampler=sampler, records=records)
        return searcher.suggest("a")

    ended: list[TrialRecord] = []
    for number, proposal in enumerate(expected):
        proposed(ended)  # this driver is killed before the history has the trial
        assert proposed(ended) == proposal
        status = Status.PRUNED if number % 3 == 2 else Status.COMPLETE
        trial = record(number, [bits(proposal["config"])], status, proposal["baseline"])
        trial.config = TrialConfig.from_dict(proposal["config"])
        proposed([*ended, dataclasses.replace(trial, status=Status.RUNNING, epochs=[])])
        ended.append(trial)


GRID = {
    "hidden_size": CategoricalDistribution((16, 24, 32)),
    "dropout": FloatDistribution(0.0, 0.5, step=0.1),
    "num_layers": IntDistribution(1, 2),
    "cleaning": CategoricalDistribution(("lower", "cased", "letters")),
}


def distinct(proposals: list[dict[str, Any]]) -> int:
    return len({tuple(p["config"][axis] for axis in GRID) for p in proposals})


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_grid_is_proposed_without_repeats_until_it_is_exhausted(
    tmp_path: Path, sampler: str
) -> None:
    axes = dict(list(GRID.items())[:3])
    space = dataclasses.replace(QUICK, baselines=(), distributions=axes)
    assert space.max_trials() == 36
    searcher, study = make(tmp_path, space=space, sampler=sampler)
    proposals = run_trials(searcher, range(36))
    assert distinct(proposals) == 36
    assert {p["config"]["dropout"] for p in proposals} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert distinct(run_trials(searcher, range(36, 38))) <= 2  # nothing is left: a repeat
    told = [trial for trial in study.trials if "repeat" not in trial.user_attrs]
    assert len(told) == 38


@pytest.mark.slow
def test_resumed_search_repeats_nothing_either(tmp_path: Path) -> None:
    space = dataclasses.replace(QUICK, baselines=(), distributions=GRID)
    first, _ = make(tmp_path, space=space)
    proposals = run_trials(first, range(40))
    records = [
        dataclasses.replace(
            record(number, [bits(each["config"])], Status.COMPLETE),
            config=TrialConfig.from_dict(each["config"]),
        )
        for number, each in enumerate(proposals)
    ]
    study = open_study(tmp_path / "optuna.journal", space, records=records)
    again = StudySearcher(study, space, seed=0, sampler="tpe-univariate", records=records)
    assert distinct(proposals + run_trials(again, range(40, 60))) == 60


@pytest.mark.parametrize(
    "sampler",
    # A minute of Gaussian processes.
    [pytest.param(name, marks=pytest.mark.long) if name == "gp" else name for name in SAMPLERS],
)
def test_sixteen_at_once_do_not_pile_up(tmp_path: Path, sampler: str) -> None:
    searcher, _ = make(tmp_path, sampler=sampler)
    run_trials(searcher, range(24))
    at_once = [searcher.suggest(f"live {number}")["config"] for number in range(16)]
    # Near is as bad as equal: a model that forgot what runs asks for much the same 16 times.
    points = {
        tuple(
            round(config[axis], 1) if axis == "dropout" else config[axis]
            for axis in QUICK.distributions
        )
        for config in at_once
    }
    assert len(points) >= 14


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_conditional_axis_exists_only_where_its_condition_holds(
    tmp_path: Path, sampler: str
) -> None:
    searcher, study = make(tmp_path, space=CONDITIONAL, sampler=sampler)
    proposals = run_trials(searcher, range(num_trials(sampler, 24)))
    assert {p["config"]["normalization"] for p in proposals} == {"none", "layer"}
    tried = [trial for trial in study.trials if "repeat" not in trial.user_attrs]
    for proposal, trial in zip(proposals, tried, strict=True):
        config = proposal["config"]
        assert ("weight_decay" in trial.params) == (config["normalization"] == "layer")
        assert (config["weight_decay"] >= 0.01) == (config["normalization"] == "layer")


def test_what_is_known_moves_the_model(tmp_path: Path) -> None:
    searcher, _ = make(tmp_path, space=dataclasses.replace(QUICK, baselines=()))
    sizes = [p["config"]["dropout"] for p in run_trials(searcher, range(60))]
    assert np.mean(sizes[40:]) < np.mean(sizes[1:10])  # a smaller dropout is better here


@pytest.mark.parametrize(
    ("sampler", "remembered"),
    [pytest.param("gp", "gp:relative", marks=pytest.mark.slow), ("cmaes", "cma:gen")],
)
def test_pruned_trials_teach_the_models_too(tmp_path: Path, sampler: str, remembered: str) -> None:
    budget = dataclasses.replace(QUICK.budget, trials=8)
    space = dataclasses.replace(QUICK, baselines=(), budget=budget)
    searcher, study = make(tmp_path, space=space, sampler=sampler)
    for number in range(4):
        value = bits(searcher.suggest(str(number))["config"])
        outcome = Outcome.TRAINING if number else Outcome.FINISHED
        searcher.on_trial_complete(str(number), result(1, value, outcome))
    searcher.suggest("by the model")
    assert any(key.startswith(remembered) for key in study.trials[-1].system_attrs)


def _diverging(folder: Path, sampler: str, seed: int, end: dict[str, Any] | None) -> list[bool]:
    """Search where higher learning rates are better until, for 3 of 8 parts, trials fail.

    Args:
        folder: Of the search.
        sampler: Its name.
        seed: Of the search.
        end: Last report of a trial that fails; None raises.

    Returns:
        Of each proposal after the first 10 whether it failed.
    """
    space = SearchSpace(
        name="diverging",
        description="d",
        base=TrialConfig(epochs=5, hidden_size=64, learning_rate=1e-3),
        budget=Budget(trials=50, grace_period_epochs=1),
        distributions={
            "learning_rate": FloatDistribution(1e-4, 1.0, log=True),
            "dropout": FloatDistribution(0.0, 0.5),
        },
    )
    quiet_optuna()  # pytest's filters of warnings end with a fixture
    searcher, _ = make(folder, seed=seed, space=space, sampler=sampler)
    failed = []
    for number in map(str, range(50)):
        config = searcher.suggest(number)["config"]
        failed.append(config["learning_rate"] > 0.03)
        if not failed[-1]:
            value = 3 - 0.3 * np.log10(config["learning_rate"]) + (config["dropout"] - 0.3) ** 2
            searcher.on_trial_complete(number, result(5, value, Outcome.FINISHED))
        elif end is None:
            searcher.on_trial_complete(number, error=True)
            searcher.fail(number, "CUDA out of memory")
        else:
            searcher.on_trial_complete(number, end)
    return failed[10:]


@pytest.mark.slow
@pytest.mark.parametrize("end", [{"outcome": Outcome.DIVERGED.value, "error": "NaN"}, None])
@pytest.mark.parametrize("sampler", LEARNING)
def test_trials_that_fail_keep_the_sampler_away(
    tmp_path: Path, sampler: str, end: dict[str, Any] | None
) -> None:
    """It was told of none: 0.72 of the proposals failed beside the best learning rate."""
    num_seeds = 1 if sampler == "gp" else 3  # which takes 8 s a search
    failed = [_diverging(tmp_path / str(seed), sampler, seed, end) for seed in range(num_seeds)]
    assert np.mean(failed) < 0.55


def test_first_trials_of_other_samplers_cover_each_axis(tmp_path: Path) -> None:
    budget = dataclasses.replace(QUICK.budget, trials=60)
    space = dataclasses.replace(QUICK, baselines=(), budget=budget)
    searcher, _ = make(tmp_path, space=space, sampler="cmaes")
    searcher.suggest("base")
    proposals = [searcher.suggest(str(number))["config"] for number in range(8)]
    dropout = space.distributions["dropout"]
    assert isinstance(dropout, FloatDistribution)
    eighths = [8 * proposal["dropout"] / dropout.high for proposal in proposals]
    assert sorted(int(eighth) for eighth in eighths) == list(range(8))


@pytest.mark.parametrize("sampler", ["tpe-univariate", "tpe"])
def test_first_trials_of_tpe_lie_near_the_starts(tmp_path: Path, sampler: str) -> None:
    budget = dataclasses.replace(QUICK.budget, trials=400)
    other = {"hidden_size": 32, "dropout": 0.0, "epochs": 2, "cleaning": "cased"}
    space = dataclasses.replace(QUICK, baselines=(), starts=(other,), budget=budget)
    searchers = [
        make(tmp_path / str(s), seed=s, space=space, sampler=sampler)[0] for s in range(6)
    ]
    # None has ended when the last of them begins, as with 20 workers.
    first = [
        searcher.suggest(str(number))["config"] for searcher in searchers for number in range(20)
    ]
    points = space.all_starts()
    assert all(point.items() <= first[number].items() for number, point in enumerate(points))
    far = []
    nearest = []
    for number, config in enumerate(first):
        if number % 20 < len(points):
            continue
        apart = [
            np.mean([distance(axis, config[name], point[name]) for name, axis in AXES])
            for point in points
        ]
        nearest.append(int(np.argmin(apart)))
        far.append(min(apart))
    # Two random points lie 0.4 apart.
    assert min(far) > 0 and np.mean(far) < 0.25
    assert 0.25 < np.mean(nearest) < 0.75  # some near the base, some near the other start


def test_space_without_axes_proposes_its_baselines(tmp_path: Path) -> None:
    documented = load_space("documented")
    searcher, _ = make(tmp_path, space=documented)
    for baseline in documented.baselines:
        proposal = searcher.suggest(baseline.name)
        assert proposal["baseline"] == baseline.name
        assert dict(baseline.params).items() <= proposal["config"].items()


def record(number: int, bits: list[float], status: Status, baseline: str = "") -> TrialRecord:
    params = {"hidden_size": 40 + number, "dropout": 0.1, "cleaning": "lower", "epochs": 5}
    config = QUICK.config({**params, "batch_size": 32, "num_layers": 1, "seed": number})
    epochs = [epoch_record(number, epoch, bits=value) for epoch, value in enumerate(bits, start=1)]
    return TrialRecord(
        number=number, config=config, baseline=baseline, status=status, epochs=epochs
    )


def test_resumed_search_knows_what_was_done(tmp_path: Path) -> None:
    names = [baseline.name for baseline in QUICK.baselines]
    records = [
        record(0, [3.0, 2.5, 2.6, 2.4, 2.4], Status.COMPLETE, names[0]),
        record(1, [3.0, 2.9], Status.STOPPED, names[1]),
        record(2, [3.5], Status.PRUNED),
        record(3, [], Status.DIVERGED),
    ]
    make(tmp_path)  # the journal of the first session, to be replaced
    study = open_study(tmp_path / "optuna.journal", QUICK, records=records)
    states = [trial.state for trial in study.trials[:3]]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert study.best_value == 2.4
    assert study.trials[0].intermediate_values == {1: 3.0, 2: 2.5, 3: 2.5, 4: 2.4, 5: 2.4}
    searcher = StudySearcher(
        study, QUICK, seed=0, sampler="tpe", records=records, checkpoints={1: ["newer", "older"]}
    )
    continued = searcher.suggest("a")
    assert continued["number"] == 1 and continued["baseline"] == names[1]
    assert continued["config"] == records[1].config.to_dict()
    assert continued["checkpoints"] == ["newer", "older"]
    searcher.on_trial_result("a", result(2, 2.9))  # trained again: its checkpoint was of epoch 1
    searcher.on_trial_complete("a", result(3, 2.3, Outcome.FINISHED))
    assert study.trials[3].intermediate_values == {1: 3.0, 2: 2.9, 3: 2.3}
    assert study.best_value == 2.3
    new = [searcher.suggest(str(number)) for number in range(2)]
    assert [proposal["number"] for proposal in new] == [4, 5]
    assert [proposal["baseline"] for proposal in new] == [names[2], ""]  # the base was tried


def test_number_that_a_kill_kept_from_beginning_is_used(tmp_path: Path) -> None:
    first, _ = make(tmp_path / "first", sampler="tpe-univariate")
    whole = [first.suggest(str(number)) for number in range(9)]
    # Trials begin in another order than they were proposed in: 4 and 6 had not.
    records = [
        TrialRecord(
            number=proposal["number"],
            config=TrialConfig.from_dict(proposal["config"]),
            baseline=proposal["baseline"],
            status=Status.STOPPED,
        )
        for proposal in whole
        if proposal["number"] not in (4, 6, 8)
    ]
    (tmp_path / "second").mkdir()
    study = open_study(tmp_path / "second" / "optuna.journal", QUICK, records=records)
    resumed = StudySearcher(study, QUICK, seed=0, sampler="tpe-univariate", records=records)
    again = [resumed.suggest(str(number)) for number in range(10)]
    assert [proposal["number"] for proposal in again] == [0, 1, 2, 3, 5, 7, 4, 6, 8, 9]
    assert again[6]["config"]["seed"] == whole[4]["config"]["seed"]


def promoting(
    folder: Path, records: list[TrialRecord], wanted: list[str] | None = None
) -> StudySearcher:
    """Return a resumed search in which trial 2 is due to go on from its rung, once.

    Args:
        folder: Of the search.
        records: Its trials.
        wanted: Baselines that are due beside the search, in order; None has them all first.
    """
    study = open_study(folder / "optuna.journal", QUICK, records=records)
    due = [records[2]]
    return StudySearcher(
        study,
        QUICK,
        seed=0,
        sampler="tpe",
        records=records,
        promotion=lambda is_last: (due.pop(), ["where it stopped"]) if due else None,
        next_baseline=None
        if wanted is None
        else lambda num_proposed: wanted.pop(0) if wanted else None,
    )


def test_resumed_search_continues_what_it_had_begun_before_it_promotes(tmp_path: Path) -> None:
    names = [baseline.name for baseline in QUICK.baselines]
    records = [
        record(0, [3.0], Status.STOPPED, names[0]),
        record(1, [3.0], Status.RUNNING),
        record(2, [2.5], Status.PRUNED),
        record(3, [2.6], Status.RUNNING),
    ]
    first = promoting(tmp_path, records)
    proposals = [first.suggest(str(number)) for number in range(5)]
    assert [each["number"] for each in proposals] == [0, 1, 3, 2, 4]
    assert proposals[4]["baseline"] == names[1]
    # Beside a search a baseline waits for its turn, and is not lost where a new one is due.
    beside = promoting(tmp_path, records, [names[1], names[0]])
    proposals = [beside.suggest(str(number)) for number in range(5)]
    assert [each["number"] for each in proposals] == [4, 0, 1, 3, 2]
    assert [each["baseline"] for each in proposals] == [names[1], names[0], "", "", ""]


def test_base_outside_the_axes_is_not_tried() -> None:
    base = dataclasses.replace(QUICK.base, hidden_size=4_096)
    space = dataclasses.replace(QUICK, base=base)
    assert space.all_starts() == []
    assert [each.baseline for each in queue(space, ())] == [each.name for each in QUICK.baselines]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETE])
def test_name_that_the_space_does_not_have_is_no_trials(status: Status, tmp_path: Path) -> None:
    config = dataclasses.replace(QUICK.base, cleaning="letters")
    record = TrialRecord(number=0, config=config, status=status)
    space = with_choices(QUICK, "cleaning", ["cased", "lower"])
    with pytest.raises(ConfigError, match="must have one of cased, lower, got 'letters'"):
        queue(space, [record])
        open_study(tmp_path / "optuna.journal", space, records=[record])


@pytest.mark.parametrize("trials", [1, 2, 3, 4])
def test_base_is_tried_however_few_trials_there_are(trials: int, tmp_path: Path) -> None:
    budget = dataclasses.replace(QUICK.budget, trials=trials, time_budget_seconds=None)
    space = dataclasses.replace(QUICK, budget=budget)
    study = open_study(tmp_path / "optuna.journal", space)
    searcher = StudySearcher(study, space, seed=0, sampler="tpe", promotion=lambda is_last: None)
    proposals = [searcher.suggest(str(number)) for number in range(trials)]
    assert searcher.suggest("one more") is None
    own = [each["number"] for each in proposals if not each["baseline"]]
    assert own == [0 if trials <= 3 else 3]
    assert proposals[own[0]]["config"] == {
        **QUICK.base.to_dict(),
        "seed": proposals[own[0]]["config"]["seed"],
    }
    # A resumed search with more room has the baselines that are left, and the base once.
    more = dataclasses.replace(space, budget=dataclasses.replace(budget, trials=10))
    left = queue(more, [record_of(each) for each in proposals])
    assert len(left) == 4 - trials and all(each.baseline for each in left)


def test_resumed_search_tries_the_starts_that_are_left(tmp_path: Path) -> None:
    starts = ({"hidden_size": 40}, {"hidden_size": 50}, {"hidden_size": 60})
    space = dataclasses.replace(QUICK, starts=starts)
    whole, _ = make(tmp_path, space=space)
    proposals = [whole.suggest(str(number)) for number in range(8)]
    assert [each["config"]["hidden_size"] for each in proposals[4:7]] == [40, 50, 60]
    records = [
        TrialRecord(
            number=each["number"],
            config=TrialConfig.from_dict(each["config"]),
            baseline=each["baseline"],
            status=Status.FAILED,
            error="lost",
        )
        for each in proposals[:5]
    ]
    # With several at once the second start may have begun where the base had not.
    late = queue(space, [*records[:3], records[4]])
    assert [each.point["hidden_size"] for each in late] == [QUICK.base.hidden_size, 50, 60]
    study = open_study(tmp_path / "optuna.journal", space, records=records)
    resumed = StudySearcher(study, space, seed=0, sampler="tpe", records=records)
    left = [resumed.suggest(str(number)) for number in range(2)]
    assert [each["config"] for each in left] == [each["config"] for each in proposals[5:7]]


def test_searcher_forgets_what_it_told_of_trials_that_ended(tmp_path: Path) -> None:
    searcher, _ = make(tmp_path)
    for name in ("ended", "failed", "running"):
        searcher.suggest(name)
        searcher.on_trial_result(name, result(1, 3.0))
    searcher.on_trial_complete("ended", result(2, 2.9))
    searcher.on_trial_complete("failed", error=True)
    searcher.fail("failed", "its worker died")
    assert list(searcher._live) == ["running"]


def test_time_budget_gives_a_proposal_fewer_epochs_and_the_sampler_learns_it(
    tmp_path: Path,
) -> None:
    """Fewer than the axis has, too: there Optuna is told the axis' fewest."""
    study = open_study(tmp_path / "optuna.journal", QUICK)
    room = {"epochs": 3}

    def shorten(config: TrialConfig) -> TrialConfig:
        return dataclasses.replace(config, epochs=min(config.epochs, room["epochs"]))

    searcher = StudySearcher(study, QUICK, seed=0, sampler="tpe", shorten=shorten)
    baselines = [searcher.suggest(f"baseline {number}") for number in range(3)]
    assert [each["config"]["epochs"] for each in baselines] == [2, 3, 4]  # not proposals
    records = [record_of(each) for each in baselines]
    for epochs in (3, 1):
        room["epochs"] = epochs
        proposal = searcher.suggest(f"{epochs} epochs")
        assert proposal["config"]["epochs"] == epochs
        assert study.trials[-1].params["epochs"] == max(epochs, 2)
        records.append(record_of(proposal))
    # A resumed search has the same points, and does not begin the base again.
    again = open_study(tmp_path / "second.journal", QUICK, records=records)
    assert [trial.params for trial in again.trials] == [trial.params for trial in study.trials]
    assert queue(QUICK, records) == []


def test_start_that_has_more_epochs_than_another_is_still_tried() -> None:
    """Only a time budget leaves a start fewer epochs than it has."""
    unlimited = dataclasses.replace(QUICK.budget, time_budget_seconds=None)
    space = dataclasses.replace(QUICK, starts=({"epochs": 6},), budget=unlimited)
    assert len(space.all_starts()) == 2
    base = TrialRecord(number=0, config=space.base, status=Status.FAILED, error="lost")
    left = [each.point["epochs"] for each in queue(space, [base]) if not each.baseline]
    assert left == [6]


def record_of(proposal: dict[str, Any]) -> TrialRecord:
    return TrialRecord(
        number=proposal["number"],
        config=TrialConfig.from_dict(proposal["config"]),
        baseline=proposal["baseline"],
        status=Status.FAILED,
        error="lost",
    )


def test_baselines_follow_when_they_are_called_for(tmp_path: Path) -> None:
    wanted = {2: "experiment 3, scaled down", 4: "experiment 1, scaled down"}
    study = open_study(tmp_path / "optuna.journal", QUICK)
    searcher = StudySearcher(
        study,
        QUICK,
        seed=0,
        sampler="tpe",
        next_baseline=lambda num_proposed: wanted.get(num_proposed),
    )
    proposals = [searcher.suggest(str(number)) for number in range(6)]
    assert [each["baseline"] for each in proposals] == ["", "", wanted[2], "", wanted[4], ""]
    assert [each["number"] for each in proposals] == [0, 1, 2, 3, 4, 5]
    assert proposals[0]["config"]["hidden_size"] == QUICK.base.hidden_size
    assert proposals[2]["config"]["cleaning"] == "letters"


def test_sobol_points_follow_one_another_whenever_baselines_come(tmp_path: Path) -> None:
    def proposed(wanted: dict[int, str]) -> list[dict[str, Any]]:
        study = open_study(tmp_path / "optuna.journal", QUICK)
        searcher = StudySearcher(
            study, QUICK, seed=0, sampler="qmc", next_baseline=lambda num: wanted.get(num)
        )
        found = [searcher.suggest(str(number)) for number in range(6 + len(wanted))]
        return [{**each["config"], "seed": 0} for each in found if not each["baseline"]]

    without = proposed({})
    assert len({str(each) for each in without}) == 6
    assert proposed({1: "experiment 1, scaled down", 3: "experiment 2, scaled down"}) == without
