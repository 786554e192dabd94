"""What Ray 2.60 and Optuna 5.0 do that our own adapters stand in for, or that limits a search.

A test that fails here is good news: look whether the workaround or limit that it names can go.
"""

import inspect
import math
import os
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import ray
import ray.tune as ray_tune
from optuna.distributions import FloatDistribution
from optuna.samplers._tpe.sampler import _split_trials
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState, create_trial
from ray._private.node import Node as RayNode
from ray._private.runtime_env.context import RuntimeEnvContext
from ray.air._internal import usage as ray_usage
from ray.air.execution._internal import RayActorManager
from ray.core.generated.common_pb2 import Language
from ray.exceptions import OutOfMemoryError
from ray.tune.execution import class_cache
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

SPACE = {"x": FloatDistribution(0.0, 1.0)}


@pytest.fixture
def searcher() -> OptunaSearch:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return OptunaSearch(SPACE, metric="bits", mode="min", seed=0)


def trials(searcher: OptunaSearch) -> list[optuna.trial.FrozenTrial]:
    return searcher._ot_study.trials  # type: ignore[no-any-return]


def test_ray_tells_a_stopped_trial_as_complete(searcher: OptunaSearch) -> None:
    """Why StudySearcher is no OptunaSearch: its model mixes cut values with final ones."""
    searcher.suggest("a")
    searcher.on_trial_result("a", {"bits": 3.0, "training_iteration": 1})
    searcher.on_trial_complete("a", {"bits": 2.9, "training_iteration": 2})
    assert trials(searcher)[0].state == TrialState.COMPLETE


@pytest.mark.filterwarnings("ignore")
def test_ray_leaves_a_trial_without_a_number_running(searcher: OptunaSearch) -> None:
    """Why a diverged trial is told FAIL by tune/sampling/searcher.py."""
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"bits": math.nan, "training_iteration": 2})
    assert trials(searcher)[0].state == TrialState.RUNNING


def test_ray_does_not_pass_the_reason_of_a_failure(searcher: OptunaSearch) -> None:
    """Why the recorder tells StudySearcher.fail: a searcher never learns the reason."""
    searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    assert trials(searcher)[0].state == TrialState.FAIL
    assert not trials(searcher)[0].user_attrs


def test_ray_never_stops_a_trial_without_a_number() -> None:
    """Why the trainer itself ends a diverged trial."""
    asha = AsyncHyperBandScheduler(metric="bits", mode="min", grace_period=1, max_t=9)
    for name, bits in (("good", 2.0), ("diverged", math.nan)):
        trial = SimpleNamespace(trial_id=name)
        asha.on_trial_add(None, trial)
        result = {"bits": bits, "training_iteration": 1}
        decision = asha.on_trial_result(None, trial, result)
    assert decision == TrialScheduler.CONTINUE


def test_optuna_ranks_any_complete_trial_before_any_pruned_one() -> None:
    """A poor short trial that ended by itself is taken for better than a pruned good one.

    Nothing stands in for this: ThinnedStudy keeps the order, docs/search.md tells it.
    """
    study = optuna.create_study()
    poor = create_trial(params={"x": 0.1}, distributions=SPACE, value=4.0)
    good = create_trial(
        params={"x": 0.9},
        distributions=SPACE,
        state=TrialState.PRUNED,
        intermediate_values={9: 2.0},
    )
    below, above = _split_trials(study, [poor, good], 1)
    assert [trial.params["x"] for trial in below] == [0.1]
    assert [trial.params["x"] for trial in above] == [0.9]


@pytest.mark.filterwarnings("ignore")
def test_optuna_counts_proposals_for_its_quasi_random_points() -> None:
    """Why tune/sampling/own_samplers.py counts trials, not proposals."""

    def third(given: bool) -> float:
        study = optuna.create_study(sampler=optuna.samplers.QMCSampler(seed=0))
        study.add_trial(create_trial(value=1.0, params={"x": 0.3}, distributions=SPACE))
        if given:
            study.enqueue_trial({"x": 0.3})
        study.ask(SPACE)
        return float(study.ask(SPACE).params["x"])

    assert third(given=True) != third(given=False)


def test_optuna_asks_for_an_axis_of_any_kind_in_private_alone() -> None:
    """Why tune/sampling/searcher.py calls Trial._suggest: `ask` takes all axes at once."""
    assert not hasattr(optuna.Trial, "suggest")
    trial = optuna.create_study().ask()
    assert 0 <= trial._suggest("x", SPACE["x"]) <= 1 and trial.distributions == SPACE


def test_optunas_journal_flushes_each_entry_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why tune/sampling/optuna_study.py is a backend of its own: 30 entries a trial, 7 ms each."""
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    journal = JournalFileBackend(str(tmp_path / "journal"))
    for _ in range(3):
        journal.append_logs([{"op_code": 0}])
    assert len(flushed) == 3


def test_optuna_waits_half_a_minute_for_a_lock_that_a_killed_process_left(tmp_path: Path) -> None:
    """Why tune/sampling/optuna_study.py removes one before it opens a journal."""
    lock = JournalFileSymlinkLock(str(tmp_path / "journal"))
    assert lock.acquire()
    assert lock.grace_period == 30


def test_ray_gives_a_shell_the_path_of_python_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why Cluster.check_local refuses a path with blanks."""
    words: list[str] = []
    monkeypatch.setattr(os, "execvp", lambda file, args: words.extend(args))
    RuntimeEnvContext(py_executable="/my project/python").exec_worker(["a b.py"], Language.PYTHON)
    assert words == ["bash", "-c", "exec /my project/python 'a b.py'"]


def test_ray_ends_the_search_where_it_killed_a_worker_for_memory() -> None:
    task = SimpleNamespace(_tracked_actor=None)
    with pytest.raises(RuntimeError, match="Caught unexpected exception: low on memory"):
        RayActorManager._actor_task_failed(
            SimpleNamespace(), task, OutOfMemoryError("low on memory")
        )


def test_ray_writes_all_trials_states_when_one_has_saved_as_often_as_it_keeps() -> None:
    """Why the workers remove their older checkpoints: a search of 10,000 would write for ever."""
    manager = _ExperimentCheckpointManager(
        storage=None, checkpoint_period=1e9, sync_every_n_trial_checkpoints=2
    )
    for _ in range(2):
        manager.on_trial_checkpoint("trial")
    assert manager._should_force_sync_up


def test_ray_gives_actors_an_environment_that_no_idle_worker_has() -> None:
    """Why run_trials empties a dictionary of Ray's: each actor would be a new process."""
    assert '"PL_DISABLE_FORK": "1"' in inspect.getsource(class_cache)


def test_ray_imports_mlflow_to_count_callbacks() -> None:
    """Why run_trials replaces what counts them."""
    assert "ray.air.integrations.mlflow" in inspect.getsource(ray_usage._count_callbacks)
    assert "air_usage.tag_callbacks(" in inspect.getsource(ray_tune.run)


def test_ray_starts_processes_that_no_option_leaves_out() -> None:
    """Why tune/cluster/cluster.py replaces methods of Ray's while a local one starts."""
    options = inspect.signature(ray.init).parameters
    assert "include_dashboard" in options
    assert not {"no_monitor", "include_log_monitor"} & options.keys()
    started: list[str] = []
    node = SimpleNamespace(
        _logs_dir="",
        _gcs_address=None,
        _gcs_client=None,
        _ray_params=SimpleNamespace(
            no_monitor=True, ray_client_server_port=None, include_dashboard=False
        ),
        get_gcs_client=lambda: "a client",
        _write_cluster_info_to_kv=lambda: None,
        start_gcs_server=lambda: started.append("gcs_server"),
        start_api_server=lambda **_: started.append("api_server"),
    )
    RayNode.start_head_processes(node)
    assert started == ["gcs_server", "api_server"]
