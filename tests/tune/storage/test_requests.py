"""Requests to a driver: each is read once and removed, a damaged one is a line."""

import os
from pathlib import Path

import pytest

from model.errors import ConfigError
from tune.monitoring.control import Control
from tune.records.orders import Action, Order
from tune.storage.requests import CONTROL_FOLDER, Requests, leave_request

END = Order(action=Action.END)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_request_is_read_once_and_removed(tmp_path: Path, scheme: str) -> None:
    location = f"{scheme}{tmp_path}"
    order = Order(action=Action.STOP, trial=7)
    leave_request(location, order)
    with Requests([location, location], lambda line: None) as requests:
        assert requests.take() == [order]
        assert requests.take() == []
        requests.done(order.id)
    assert not [*(tmp_path / CONTROL_FOLDER).iterdir()]


def test_orders_of_one_poll_come_as_they_were_given(tmp_path: Path) -> None:
    orders = [Order(action=Action.WORKERS, workers=number) for number in range(1, 9)]
    for order in reversed(orders):
        leave_request(str(tmp_path), order)
        # As a storage has it whose times are whole seconds.
        os.utime(tmp_path / CONTROL_FOLDER / f"{order.id}.json", (1, 1))
    with Requests([str(tmp_path)], lambda line: None) as requests:
        assert requests.take() == orders


def test_order_that_was_not_done_stays_for_the_next_session(tmp_path: Path) -> None:
    leave_request(str(tmp_path), END)
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
    (folder / "fedcba9876543210.json").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text("not ours")
    lines: list[str] = []
    with Requests([str(tmp_path)], lines.append) as requests:
        assert requests.take() == []
    assert len(lines) == 2
    assert all("is left out" in line and line.isprintable() for line in lines)
    left = {path.name for path in folder.iterdir()}
    assert left == {"notes.txt", "fedcba9876543210.json"}


def test_request_after_the_end_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    with Requests([str(tmp_path)], lines.append):
        leave_request(str(tmp_path), END)
    assert lines == ["end came after the end of the search and is left out"]
    assert not [*(tmp_path / CONTROL_FOLDER).iterdir()]


def test_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONTROL_FOLDER).symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="the link"):
        leave_request(str(tmp_path / "run"), END)


def test_run_without_a_driver_is_refused(tmp_path: Path) -> None:
    reference = next(Path(__file__).parents[3].glob("results/reference/*/study.json")).parent
    with pytest.raises(ConfigError, match="must run to be steered"):
        Control(reference).end()
