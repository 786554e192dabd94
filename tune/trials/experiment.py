"""One Ray Tune experiment: the trials that a searcher proposes, until a stopper ends them."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import ray.air._internal.usage as ray_usage
import ray.tune as ray_tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from ray.tune.execution import class_cache
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from model.system.filesystem import open_location
from tune.storage.checkpoints import CheckpointStore
from tune.trials.limiter import FollowingLimiter
from tune.trials.lost_workers import TrialTimeout, losses_are_deaths
from tune.trials.recorder import MAX_DEATHS, Recorder
from tune.trials.stopper import SearchStopper
from tune.trials.trainable import trial_dirname


def run_trials(
    trainable: type[ray_tune.Trainable],
    *,
    searcher: Searcher,
    scheduler: TrialScheduler | None = None,
    concurrent: Callable[[], int],
    store: CheckpointStore,
    stopper: SearchStopper,
    recorder: Recorder,
    display: AbstractContextManager[object],
    trial_timeout_seconds: float | None = None,
    memory_excess_bytes: int = 0,
) -> None:
    """Run trials to the end; those still running then are recorded as stopped.

    Args:
        trainable: The trial class that Ray runs, with its resources.
        searcher: Proposes trials, and says when it has no more.
        scheduler: Stops some trials early; None stops none.
        concurrent: Returns the maximum number of concurrent trials; called before each proposal.
        store: Where the checkpoints go.
        stopper: Ends all trials.
        recorder: Records what happens.
        display: Is open while trials run.
        trial_timeout_seconds: Silence after which a trial is killed; None for never.
        memory_excess_bytes: See TrialMemory.asked_bytes; the trials correct it.

    Raises:
        ExternalFault: The storage cannot be written.
    """
    # Ray 2.60 sets a variable for PyTorch Lightning in each actor. Then no worker that was started
    # earlier fits, and each actor imports torch again (4 s of 2 cores).
    class_cache.DEFAULT_ENV_VARS.clear()
    # Ray 2.60 counts callback types for its usage statistics, which are off, and for that imports
    # MLflow, if it is installed (0.6 s).
    ray_usage.tag_callbacks = lambda callbacks: False
    limiter = FollowingLimiter(searcher, concurrent, stopper, memory_excess_bytes)
    # Opened here, because Ray alone knows only pyarrow's schemes.
    file_system, path = open_location(store.root)
    tuner = ray_tune.Tuner(
        trainable,
        tune_config=TuneConfig(
            num_samples=-1,  # until the searcher has no more
            search_alg=limiter,
            scheduler=scheduler,
            reuse_actors=True,
            trial_dirname_creator=trial_dirname,
        ),
        run_config=RunConfig(
            # Tuner.restore of Ray 2.60 cannot extend a budget, so each session is a new
            # experiment to Ray; we carry over history, rungs, journal and checkpoints.
            name=store.next_session(),
            storage_path=path,
            storage_filesystem=file_system,
            callbacks=[
                recorder,
                TrialTimeout(trial_timeout_seconds, will_fail=recorder.will_fail),
            ],
            stop=stopper,
            failure_config=FailureConfig(max_failures=MAX_DEATHS),
            # Each report requests its own checkpoint, but a diverged one must not. The worker
            # removes older ones: with num_to_keep, Ray 2.60 rewrites all trials' states whenever
            # one has saved that number of times.
            checkpoint_config=CheckpointConfig(num_to_keep=None, checkpoint_at_end=False),
            verbose=0,
        ),
    )
    with stopper.catching_signals(), display, losses_are_deaths():
        stopper.start(lambda: len(limiter.live_trials))
        tuner.fit()
        stopper.check()
        recorder.stop_running()
