"""What a local Ray needs to start is checked and told, and nothing of it is left."""

import functools
import inspect
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from model.errors import ConfigError
from repository import ROOT
from tiny_search import command, free_port, write_inputs
from tune import run, wait_for_nodes
from tune.cluster import temporary_folder
from tune.cluster.cluster import Cluster
from tune.cluster.ray_environment import named_address, prepare_ray_environment
from tune.cluster.temporary_folder import MAX_SOCKET_BYTES, make_ray_folder
from tune.job.job import naming_how_to_resume

UNKNOWN_USER = 54_321


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder of a short path, which pytest's are not."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as folder:
        yield Path(folder)


@pytest.fixture
def full(short: Path) -> Iterator[Path]:
    """A folder that has no room."""
    place = short / "full"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted: that takes root's rights")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that a search is refused with; nothing is left of it."""
    before = {*Path.cwd().iterdir(), Path.cwd() / "cache"}
    capsys.readouterr()
    assert run.main([*flags, "--name", "refused"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert {*Path.cwd().iterdir(), Path.cwd() / "cache"} == before
    return line


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("x" * 80, "have a path of at most "),
        ("/".join(["scratch"] * 9), "have a path of at most "),
        ("bücher", "have a name of ASCII characters"),
        ("日本", "have a name of ASCII characters"),
        ("Hatter's", "have a name of ASCII characters without quotes"),
        ("file/in", "be writable: Not a directory"),
    ],
)
def test_temporary_folder_that_is_unfit_for_ray_is_one_line_before_it_starts(
    name: str,
    rule: str,
    short: Path,
    tiny_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (short / "file").touch()
    monkeypatch.setenv("TMPDIR", str(short / name))
    monkeypatch.setattr(Cluster, "measure", lambda *_, **__: pytest.fail("it measures first"))
    line = refused(write_inputs(tiny_text), capsys)
    assert line.startswith(f"tune.run: the temporary folder of the local Ray must {rule}")
    assert f"{str(short / name)!r} (from TMPDIR)" in line
    assert line.endswith("name another in RAY_TMPDIR")
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    "folder", ["my project", "Hatter's", "work (2)", "R&D", "$HOME", "a;b", "a~b c"]
)
def test_python_whose_path_a_shell_would_not_take_as_it_is_is_refused(
    folder: str,
    tiny_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else no worker of Ray's ever starts, and the search waits for one without a word."""
    python = f"/home/alice/{folder}/.venv/bin/python"
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setattr(Cluster, "start_soon", lambda _: pytest.fail("it starts"))
    line = refused(write_inputs(tiny_text), capsys)
    assert line.startswith("tune.run: the path of Python must have no blanks")
    assert repr(python) in line


def test_python_in_a_folder_of_any_letters_is_none_that_a_shell_would_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/home/bücher/日本/env~1/venv-3.11_x86/bin/python")
    shown = subprocess.run(
        ["bash", "-c", f"echo {sys.executable}"], capture_output=True, encoding="utf-8"
    )
    assert shown.stdout == f"{sys.executable}\n"
    with Cluster(None) as cluster:
        cluster.check_local()


def test_full_temporary_folder_is_named_and_not_the_run_folder(
    full: Path,
    tiny_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(full))
    line = refused(write_inputs(tiny_text), capsys)
    assert f"be writable: No space left on device: {str(full)!r} (from RAY_TMPDIR)" in line
    assert "results" not in line and list(full.iterdir()) == []


def test_little_room_is_no_room(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(short))
    monkeypatch.setattr(temporary_folder, "ROOM_BYTES", 1 << 60)
    with pytest.raises(ConfigError, match=r"MiB must be free, [\d]+ are"):
        make_ray_folder()
    assert list(short.iterdir()) == []


def test_longest_path_is_what_a_socket_can_have(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = len(f"/ray0000/session_2026-11-28_09-01-06_155854_{os.getpid()}/sockets/plasma_store")
    most = MAX_SOCKET_BYTES - socket
    for length, fits in ((most, True), (most + 1, False)):
        parent = short / ("x" * (length - len(str(short)) - 1))
        monkeypatch.setenv("TMPDIR", str(parent))
        if fits:
            assert make_ray_folder().parent == parent
        else:
            with pytest.raises(ConfigError, match=f"at most {most} bytes.*got {length}"):
                make_ray_folder()


def test_temporary_folder_that_fills_later_is_named_with_how_to_go_on(tmp_path: Path) -> None:
    from model.errors import ExternalFault

    def ending(error: Exception, elsewhere: str | None, run_folder: Path) -> str:
        with (
            pytest.raises(ExternalFault) as caught,
            naming_how_to_resume(run_folder, lambda: "resume x", other_place=lambda: elsewhere),
        ):
            raise error
        return str(caught.value)

    full = "the temporary folder must be writable: /tmp: No space left on device"
    for error in (
        OSError(28, "No space left on device"),
        ExternalFault("a trial must be able to write its checkpoints: No space left on device"),
    ):
        assert ending(error, full, tmp_path) == f"{full}; to continue: resume x"
        assert "the temporary folder" not in ending(error, None, tmp_path)
        # Both are on one disk: the run's is the place that needs room.
        assert "the temporary folder" not in ending(error, full, tmp_path / "nowhere")
    assert ending(ExternalFault("no answer"), full, tmp_path) == "no answer; to continue: resume x"


@pytest.mark.parametrize("stale", ["127.0.0.1:{port}", "[::1]:{port}", "localhost:{port}"])
def test_stale_address_of_the_environment_is_named_as_such(
    stale: str,
    tiny_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = stale.format(port=free_port())
    flags = write_inputs(tiny_text)
    assert "RAY_ADDRESS" not in refused([*flags, "--address", address], capsys)
    monkeypatch.setenv("RAY_ADDRESS", address)
    line = refused(flags, capsys)
    source = f"{address!r} (from RAY_ADDRESS; without it, Ray starts here): "
    assert f"a Ray cluster must answer at {source}" in line


@pytest.mark.parametrize("is_there", [True, False], ids=["gone", "never there"])
def test_stale_auto_is_refused_at_once(
    is_there: bool,
    tiny_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ray 2.60 keeps the address of the last `ray start`, and tries for minutes to reach it."""
    last = f"127.0.0.1:{free_port()}" if is_there else None
    nothing_runs = functools.cache(set[str])  # other tests' Rays do
    monkeypatch.setattr(ray._private.services, "find_gcs_addresses", nothing_runs)
    monkeypatch.setattr(ray._private.services, "find_bootstrap_address", lambda _: last)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    line = refused(write_inputs(tiny_text), capsys)
    assert "a Ray cluster must answer at 'auto' (from RAY_ADDRESS; without it, Ray start" in line
    assert ("Connection refused" if is_there else "Could not find any running Ray") in line


@pytest.mark.parametrize("named_in", ["--address", "RAY_ADDRESS", "both"])
def test_local_is_no_address(named_in: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The command line stands over the environment, as for any other address.
    if named_in != "--address":
        monkeypatch.setenv("RAY_ADDRESS", "local" if named_in != "both" else "10.0.0.1:6379")
    address = None if named_in == "RAY_ADDRESS" else "local"
    assert named_address(address) is None
    assert Cluster(address).address is None
    monkeypatch.delenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", raising=False)
    prepare_ray_environment(address)
    # The loopback address alone: test_security.py looks at the sockets.
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


@pytest.mark.parametrize(
    ("environment", "named"),
    [(None, "ray://head:10001"), ("ray://head:10001", None), ("ray://head:10001", "auto")],
)
def test_server_for_rays_clients_is_refused_with_what_to_do(
    environment: str | None,
    named: str | None,
    tiny_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if environment:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    flags = ["--address", named] if named else []
    rule = "a Ray cluster's address must be HOST:PORT or auto, got 'ray://head:10001': "
    line = refused([*write_inputs(tiny_text), *flags], capsys)
    assert line.startswith(f"tune.run: {rule}") and "`ray job submit`" in line
    assert wait_for_nodes.main(["2", "--timeout", "1s", *flags]) == 2
    output, line = capsys.readouterr()
    assert not output and line.startswith(f"tune.wait_for_nodes: {rule}")
    assert not ray.is_initialized()


@pytest.mark.parametrize("home", [None, "/nowhere", "/proc"])
def test_environment_needs_no_home(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    if home is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(Path, "home", no_home)
    else:
        monkeypatch.setenv("HOME", home)
    prepare_ray_environment("10.0.0.1:6379")
    assert os.environ["HOME"] == (home or "/")  # Ray 2.60 asks for one as it is imported
    assert "RAY_AUTH_TOKEN" not in os.environ  # a cluster has its own
    prepare_ray_environment(None)
    tokens = {os.environ.pop("RAY_AUTH_TOKEN")}
    prepare_ray_environment(None)
    tokens.add(os.environ["RAY_AUTH_TOKEN"])
    assert len(tokens) == 2 and {len(token) for token in tokens} == {64}
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the user's")
    prepare_ray_environment(None)
    assert os.environ["RAY_AUTH_TOKEN"] == "the user's"


def test_logs_of_ray_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RAY_ROTATION_MAX_BYTES", "RAY_ROTATION_BACKUP_COUNT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
        assert name in inspect.getsource(ray._private.node)  # which gives them to its processes
    prepare_ray_environment(None)
    most_bytes, num_older = (int(os.environ[name]) for name in names)
    assert most_bytes * (1 + num_older) <= temporary_folder.ROOM_BYTES // 8


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.slow
def test_ray_that_does_not_start_is_one_line_and_leaves_nothing(
    short: Path,
    tiny_text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(**options: object) -> None:
        Path(str(options["_temp_dir"]), "session_1").mkdir()
        raise Exception("The current node timed out during startup.\nThis could")

    monkeypatch.setenv("TMPDIR", str(short))
    monkeypatch.setattr(ray, "init", broken)
    line = refused(write_inputs(tiny_text), capsys)
    assert line == (
        f"tune.run: a local Ray must start, with its files in {short}: "
        "The current node timed out during startup."
    )
    assert list(short.iterdir()) == []


def test_folder_of_ray_is_this_users_alone(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(**options: object) -> None:  # as Ray 2.60 makes it
        Path(str(options["_temp_dir"])).chmod(0o777)

    monkeypatch.setenv("TMPDIR", str(short))
    monkeypatch.setattr(ray, "init", shared)
    with Cluster(None) as cluster:
        cluster.start()
        (folder,) = short.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        ("--corpus short.txt", "at least 1,000 characters"),  # Ray is being imported
        ("--cpus-per-trial 4096", "one node must have"),  # it runs
    ],
)
def test_mistake_that_is_found_while_ray_starts_leaves_nothing(
    flags: str, rule: str, short: Path, tiny_text: str
) -> None:
    words = write_inputs(tiny_text)
    Path("short.txt").write_text("too short", encoding="utf-8")
    if "--corpus" in flags:
        words = words[:2]
    done = subprocess.run(
        command([*words, *flags.split()]),
        env={**os.environ, "TMPDIR": str(short)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and rule in done.stderr and done.stderr.count("\n") == 1
    assert not Path("results").exists()
    assert [path for path in short.iterdir() if "torch" not in path.name] == []
    of_ray = [each for each in psutil.process_iter() if is_of(each, short)]
    psutil.wait_procs(of_ray)  # what was told to end; what stays is a hang
    assert not [each for each in psutil.process_iter() if is_of(each, short)]


def is_of(process: psutil.Process, folder: Path) -> bool:
    """Return whether a process of Ray's has its files in a folder."""
    try:
        return any(f"{folder}/ray" in argument for argument in process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    "home",
    [pytest.param("/", marks=pytest.mark.long), "/proc", "none, of an unknown user"],
)
def test_search_needs_no_home_and_leaves_nothing_in_the_temporary_folder(
    home: str, short: Path, tiny_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, text = write_inputs(tiny_text, trials=2)[1::2]
    work, temporary = short / "work", short / ("x" * (36 - len(str(short)) - 1))
    for folder in (work, temporary):
        folder.mkdir()
    for name in (space, text):
        (work / name).write_bytes(Path(name).read_bytes())
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")
    }
    environment |= {"TMPDIR": str(temporary), "HOME": home, "PYTHONPATH": str(ROOT)}
    within: list[str] = []
    if home not in ("/", "/proc"):
        del environment["HOME"]
        # The same user by a number that has no name here, as in a container.
        within = ["unshare", "--user", f"--map-user={UNKNOWN_USER}", f"--map-group={UNKNOWN_USER}"]
        if shutil.which("unshare") is None or subprocess.run([*within, "true"]).returncode != 0:
            pytest.skip("this system makes no namespace of users")
    flags = ["--space", space, "--corpus", text, "--name", "homeless", "--finalists", "0"]
    done = subprocess.run(
        [*within, *command([*flags, "--max-concurrent", "1"])],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # torch leaves an empty folder of its own.
    assert [path for path in temporary.iterdir() if "torch" not in path.name] == []


@pytest.mark.slow
def test_ray_that_is_lost_leaves_nothing_in_the_temporary_folder(
    short: Path, tiny_text: str
) -> None:
    from tiny_search import kill_family, trial_worker

    flags = write_inputs(tiny_text, epochs=(100_000, 100_000))
    driver = subprocess.Popen(
        command([*flags, "--name", "lost"]),
        env={**os.environ, "TMPDIR": str(short)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        trial_worker(driver)
        (folder,) = short.glob("ray*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for child in psutil.Process(driver.pid).children(recursive=True):
            if child.name() == "gcs_server":
                child.kill()
        _, errors = driver.communicate()
    finally:
        kill_family(driver)
    assert driver.returncode == 75, errors
    assert [path for path in short.iterdir() if "ray" in path.name or "char" in path.name] == []
