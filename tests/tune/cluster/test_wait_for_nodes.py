"""Waiting for a cluster's nodes, on a clock and a cluster that the test sets."""

import logging
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import ray

from model.errors import EXTERNAL_FAULT
from tune import wait_for_nodes
from tune.cluster import ray_environment


class Cluster:
    """A cluster that does not answer for so many seconds, then has more nodes each second."""

    def __init__(self, silent_seconds: float) -> None:
        self.seconds = 0.0
        self.addresses: list[str | None] = []
        self._silent_seconds = silent_seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def join(self, address: str, **options: object) -> None:
        self.addresses.append(address)
        if self.seconds < self._silent_seconds:
            raise ConnectionError("no Ray there")

    def is_joined(self) -> bool:
        return bool(self.addresses) and self.seconds >= self._silent_seconds

    def nodes(self) -> list[dict[str, object]]:
        num = int(self.seconds - self._silent_seconds) + 1
        working = [{"Alive": True, "Resources": {"CPU": 2.0}}] * num
        return [
            *working,
            {"Alive": True, "Resources": {"memory": 1e9}},  # a head that trains nothing
            {"Alive": False, "Resources": {"CPU": 2.0}},
        ]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    cluster = Cluster(silent_seconds=3)
    clock = SimpleNamespace(monotonic=cluster.monotonic, sleep=cluster.sleep)
    monkeypatch.setattr(wait_for_nodes, "time", clock)
    monkeypatch.setattr(ray_environment, "prepare_ray_environment", cluster.addresses.append)
    monkeypatch.setattr(ray, "init", cluster.join)
    monkeypatch.setattr(ray, "is_initialized", cluster.is_joined)
    monkeypatch.setattr(ray, "nodes", cluster.nodes)
    level = logging.getLogger("ray").level
    yield cluster
    logging.getLogger("ray").setLevel(level)


def test_nodes_that_come_are_waited_for(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wait_for_nodes.main(["2", "--address", "10.0.0.1:6379"]) == 0
    assert cluster.seconds == 4  # silent for 3, then a second until the second node
    assert set(cluster.addresses) == {"10.0.0.1:6379"}
    assert capsys.readouterr() == ("2 of 2 nodes are there\n", "")


@pytest.mark.parametrize(("timeout", "found"), [("3s", 0), ("1m", 57)])
def test_waiting_ends_when_the_time_is_up(
    timeout: str, found: int, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    code = wait_for_nodes.main(["100", "--timeout", timeout])
    assert code == (wait_for_nodes.SOME_NODES if found else EXTERNAL_FAULT)
    assert cluster.seconds == {"3s": 3, "1m": 60}[timeout]
    assert set(cluster.addresses) == {"auto"}
    assert capsys.readouterr() == (f"{found} of 100 nodes are there\n", "")


@pytest.mark.parametrize("timeout", ["soon", "0s"])
def test_bad_duration_is_the_users_mistake(
    timeout: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wait_for_nodes.main(["2", "--timeout", timeout]) == 2
    output, errors = capsys.readouterr()
    assert output == "" and cluster.seconds == 0
    assert errors.startswith("tune.wait_for_nodes: a duration must ")
    assert errors.endswith(f", got {timeout!r}\n") and errors.count("\n") == 1


def test_bad_count_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_for_nodes.main(["0"]) == 2
    assert capsys.readouterr().err == (
        "tune.wait_for_nodes: the number of nodes must be at least 1, got 0\n"
    )
    with pytest.raises(SystemExit) as ended:
        wait_for_nodes.main(["many"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
