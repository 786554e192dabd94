"""What Ray pickles of the objects that it is given: nothing of ours."""

import pickle
from pathlib import Path
from unittest.mock import Mock

from search_spaces import load_space
from tune.records.history import History
from tune.sampling.optuna_study import open_study
from tune.sampling.searcher import StudySearcher
from tune.trials.limiter import FollowingLimiter
from tune.trials.lost_workers import TrialTimeout
from tune.trials.recorder import Recorder
from tune.trials.stopper import SearchStopper


def test_ray_can_pickle_what_it_is_given(tmp_path: Path) -> None:
    space = load_space("quick")
    study = open_study(tmp_path / "optuna.journal", space)
    searcher = StudySearcher(study, space, seed=0, sampler="tpe")
    stopper = SearchStopper(None)
    with History(tmp_path / "history.jsonl") as history:
        recorder = Recorder(history, stopper, save=lambda records: None, listeners=[Mock()])
        for given in (
            FollowingLimiter(searcher, lambda: 2, stopper),
            TrialTimeout(None, will_fail=recorder.will_fail),
            recorder,
            stopper,
        ):
            assert given.__getstate__() == {}
            pickle.dumps(given)
