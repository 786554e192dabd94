"""Requests to a driver: each is read once and removed, a damaged one is a line."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hand_made_run import STUDY
from model.errors import ConfigError
from tune.monitoring.control import Control
from tune.records.history import History
from tune.records.orders import Action, Order
from tune.records.run_folder import RunFolder
from tune.storage import requests as requests_module
from tune.storage.requests import CONTROL_FOLDER, OPEN_MARK, Requests, leave_request

END = Order(action=Action.END)


def leave_earlier(folder: Path, *orders: Order) -> None:
    """Leave orders that a driver did not read before it was killed."""
    with pytest.raises(KeyboardInterrupt), Requests([str(folder)], print):
        for order in orders:
            leave_request(str(folder), order)
        raise KeyboardInterrupt
    (folder / CONTROL_FOLDER / OPEN_MARK).touch()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_request_is_read_once_and_removed(tmp_path: Path, scheme: str) -> None:
    location = f"{scheme}{tmp_path}"
    order = Order(action=Action.STOP, trial=7)
    with Requests([location, location], lambda line: None) as requests:
        leave_request(location, order)
        requests._look()
        assert requests.take() == [order]
        assert requests.take() == []
        requests.done(order.id)
    assert not (tmp_path / CONTROL_FOLDER).exists()


def test_orders_of_one_poll_come_as_they_were_given(tmp_path: Path) -> None:
    orders = [Order(action=Action.WORKERS, workers=number) for number in range(1, 9)]
    leave_earlier(tmp_path, *reversed(orders))
    for order in orders:
        # As a storage has it whose times are whole seconds.
        os.utime(tmp_path / CONTROL_FOLDER / f"{order.id}.json", (1, 1))
    with Requests([str(tmp_path)], lambda line: None) as requests:
        assert requests.take() == orders


def test_order_that_was_not_done_stays_for_the_next_session(tmp_path: Path) -> None:
    leave_earlier(tmp_path, END)
    with pytest.raises(KeyError), Requests([str(tmp_path)], lambda line: None) as requests:
        assert requests.take() == [END]
        raise KeyError
    with Requests([str(tmp_path)], lambda line: None) as requests:
        assert requests.take() == [END]


def test_damaged_request_is_a_line_and_goes(tmp_path: Path) -> None:
    folder = tmp_path / CONTROL_FOLDER
    folder.mkdir()
    (folder / f"{END.id}.json").write_bytes(b"\xff{")
    (folder / "0123456789abcdef.json").write_text('{"action": "stop", "trial": "\x1b"}')
    half = r'{"action": "add", "config": {"cell": "\ud800"}}'  # no history could hold it
    (folder / "0000456789abcdef.json").write_text(half)
    (folder / "fedcba9876543210.json").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text("not ours")
    lines: list[str] = []
    with Requests([str(tmp_path)], lines.append) as requests:
        assert requests.take() == []
    assert len(lines) == 3
    assert all("is left out" in line and line.isprintable() for line in lines)
    left = {path.name for path in folder.iterdir()}
    assert left == {"notes.txt", "fedcba9876543210.json"}


def test_request_after_the_end_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    with Requests([str(tmp_path)], lines.append):
        leave_request(str(tmp_path), END)
    assert lines == ["end came after the end of the search and is left out"]
    assert not (tmp_path / CONTROL_FOLDER).exists()


def test_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONTROL_FOLDER).symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="the link"):
        leave_request(str(tmp_path / "run"), END)


def test_run_without_a_driver_is_refused(tmp_path: Path) -> None:
    reference = next(Path(__file__).parents[3].glob("results/reference/*/study.json")).parent
    with pytest.raises(ConfigError, match="only a running search can be steered"):
        Control(reference).end()


def test_order_that_nobody_would_read_is_refused(tmp_path: Path) -> None:
    """As the finalists are trained, the predictor made and the report written."""
    folder = RunFolder.create(tmp_path / "ten", STUDY)
    folder.finalists_history_file.touch()
    requests = Requests([str(folder.path)], print)
    with History(folder.history_file):
        with requests:
            left = Control(folder.path).workers(2)
            requests._look()
            assert requests.take() == [left]
        for words in ("budget", "2h"), ("workers", 1), ("end",):
            with pytest.raises(ConfigError, match="while its trials run, not its fin") as caught:
                getattr(Control(folder.path), words[0])(*words[1:])
            assert "\n" not in str(caught.value)
    assert [path.stem for path in (folder.path / CONTROL_FOLDER).iterdir()] == [left.id]


def test_session_that_only_trains_finalists_takes_no_order_after_one_that_was_killed(
    tmp_path: Path,
) -> None:
    leave_earlier(tmp_path, END)
    leave_request(str(tmp_path), Order(action=Action.WORKERS, workers=2))
    requests = Requests([str(tmp_path)], print)
    requests.close()
    with pytest.raises(ConfigError, match="while its trials run"):
        leave_request(str(tmp_path), END)
    assert len([*(tmp_path / CONTROL_FOLDER).iterdir()]) == 2  # they wait for a search


def test_order_that_is_left_as_the_search_ends_is_found_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    requests = Requests([str(tmp_path)], lines.append)
    write = requests_module.write

    def late(end_before: bool) -> Callable[..., None]:
        def write_late(*arguments: object) -> None:
            if end_before:
                requests.__exit__(None)
            write(*arguments)  # type: ignore[arg-type]
            if not end_before:
                requests.__exit__(None)

        return write_late

    for end_before in (True, False):
        requests = Requests([str(tmp_path)], lines.append).__enter__()
        with monkeypatch.context() as patched:
            patched.setattr(requests_module, "write", late(end_before))
            with pytest.raises(ConfigError, match="while its trials run"):
                leave_request(str(tmp_path), END)
        assert not [*(tmp_path / CONTROL_FOLDER).glob("*")]
    assert lines == ["end came after the end of the search and is left out"]


def test_request_that_vanishes_as_it_is_looked_at_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Requests([str(tmp_path)], print) as requests:
        with monkeypatch.context() as patched:
            names = [OPEN_MARK, f"{END.id}.json"]
            patched.setattr(requests_module, "files_below", lambda *_, **__: iter(names))
            requests._look()
        assert requests.take() == []
        leave_request(str(tmp_path), END)
        requests._look()
        assert requests.take() == [END]


def test_mark_that_another_driver_has_removed_is_put_back(tmp_path: Path) -> None:
    with Requests([str(tmp_path)], print) as requests:
        Requests([str(tmp_path)], print).close()
        requests._look()
        leave_request(str(tmp_path), END)
        requests._look()
        assert requests.take() == [END]
