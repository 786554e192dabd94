"""How long a Ray that does not listen is waited for."""

import errno
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from tune.cluster import ray_watch
from tune.cluster.ray_watch import RayWatch


class Ended(Exception):
    pass


def test_patience_is_in_seconds_however_long_each_look_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, looks = [100.0], list[float]()

    def slowly(place: tuple[str, int]) -> bool:
        looks.append(now[0])
        now[0] += 1
        return False

    def end(watch: RayWatch, name: str) -> None:
        raise Ended(name)

    monkeypatch.setattr(ray_watch, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(ray_watch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(ray_watch, "_listens", slowly)
    monkeypatch.setattr(RayWatch, "_end", end)
    with pytest.raises(Ended, match="Ray's head"):
        RayWatch(command=str)._watch({"Ray's head": ("127.0.0.1", 1)}, 3)
    # By the number of looks, 0.001 s each, it would have been 3,000.
    assert looks == [100, 101, 102]


def test_ray_that_listens_again_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True, False, True])
    now = [100.0]
    watch = RayWatch(command=str)

    def listens(place: tuple[str, int]) -> bool:
        answer = next(answers, None)
        if answer is None:
            watch._ended.set()
        now[0] += 2
        return answer is not False

    monkeypatch.setattr(ray_watch, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(ray_watch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(ray_watch, "_listens", listens)
    monkeypatch.setattr(RayWatch, "_end", lambda watch, name: pytest.fail(name))
    watch._watch({"Ray's head": ("127.0.0.1", 1)}, 3)
    assert now == [110]  # all answers were asked for


def test_what_this_process_lacks_is_no_silence_of_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, listens in (
        (errno.ECONNREFUSED, False),
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.ENOBUFS, True),
        (errno.EADDRNOTAVAIL, True),
    ):
        failing = Mock(side_effect=OSError(number, "no"))
        monkeypatch.setattr(ray_watch.socket, "create_connection", failing)
        assert ray_watch._listens(("127.0.0.1", 1)) == listens


@pytest.mark.parametrize("fails", [False, True])
def test_lost_ray_is_told_before_the_process_ends(
    fails: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def tell(said: str) -> None:
        told.append(said)
        if fails:
            raise OSError("disk full")

    def leave(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(ray_watch.os, "_exit", leave)
    with pytest.raises(Ended, match="75"):
        RayWatch(command=lambda: "resume it", ended=tell)._end("Ray's head")
    assert told == ["lost Ray's head; to continue: resume it"]
    assert capfd.readouterr().err == f"tune.run: {told[0]}\n"
