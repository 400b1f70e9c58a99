"""The container: what its files promise, and the image itself where Docker can build it."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "wotd" / "deployment" / "container"
COMPOSE = sorted(FOLDER.glob("compose*.yaml"))
ENTRYPOINT = FOLDER / "entrypoint.sh"


def program(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).parent / name)


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, in order, with their arguments put in as far as they have defaults."""
    with (FOLDER / "Dockerfile").open("rb") as file:
        parsed = DockerfileParser(fileobj=file).structure
    return [(each["instruction"], each["value"]) for each in parsed if each["instruction"] != "COMMENT"]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The services, their merges made."""
    return yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))


def values(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [value for instruction, value in instructions if instruction == name]


def flags_and_paths(copy: str) -> tuple[list[str], list[str]]:
    """Of a COPY."""
    words = shlex.split(copy)
    return [word for word in words if word.startswith("--")], [word for word in words if not word.startswith("--")]


def copied(instructions: list[tuple[str, str]]) -> list[str]:
    """What comes from the checkout."""
    copies = [flags_and_paths(value) for value in values(instructions, "COPY")]
    return [name for flags, paths in copies if not any("--from" in flag for flag in flags) for name in paths[:-1]]


# --- the Dockerfile


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([program("hadolint"), str(FOLDER / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_bases_are_pinned(instructions: list[tuple[str, str]]) -> None:
    arguments = dict(value.split("=", 1) for value in values(instructions, "ARG"))
    bases = [re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], value) for value in values(instructions, "FROM")]
    assert len(bases) == 2
    for base in bases:
        assert re.match(r"python:3\.\d+\.\d+-slim-[a-z]+( AS \w+)?$", base), base


def test_steps_are_those_of_make(instructions: list[tuple[str, str]]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ours = []
    for step in values(instructions, "RUN"):
        command = re.sub(r"^(--\S+\s+)*", "", step)
        assert re.match(r"(make|apt-get|useradd) ", command), step
        ours += re.findall(r"^make ([a-z-]+)", command)
    assert ours == ["install"]
    assert all(re.search(rf"^{target}:.*## ", makefile, re.MULTILINE) for target in ours)


def test_it_runs_as_an_ordinary_user(instructions: list[tuple[str, str]]) -> None:
    last_stage = instructions[max(n for n, (name, _) in enumerate(instructions) if name == "FROM") :]
    assert values(last_stage, "USER") == ["1000:1000"]
    assert "useradd --uid 1000 " in " ".join(values(last_stage, "RUN"))
    names = [name for name, _ in last_stage]
    assert names.index("USER") > max(n for n, name in enumerate(names) if name in ("RUN", "COPY"))


def test_it_holds_no_secrets_and_downloads_nothing_unseen(instructions: list[tuple[str, str]]) -> None:
    assert not values(instructions, "ADD")
    said = " ".join(values(instructions, "ARG") + values(instructions, "ENV"))
    assert not re.search(r"token|password|secret|api_?key|credential", said, re.IGNORECASE)
    assert not re.search(r"curl|wget|https?://", " ".join(values(instructions, "RUN")))


def test_the_context_has_what_is_copied_and_little_else(instructions: list[tuple[str, str]]) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert "*" in ignored
    kept = [line[1:] for line in ignored if line.startswith("!")]
    for name in copied(instructions):
        assert (ROOT / name).exists(), name
        assert any(name == each or name.startswith(f"{each}/") for each in kept), f".dockerignore leaves {name} out"
    assert not [each for each in kept if not any(name.partition("/")[0] == each for name in copied(instructions))]


def test_what_is_copied_is_all_that_the_installation_needs(instructions: list[tuple[str, str]], tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for name in copied(instructions):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
            )
        elif not (context / name).exists():
            shutil.copy(ROOT / name, context / name)
    planned = subprocess.run(
        ["make", "-n", "install", f"VENV={tmp_path}/v"], cwd=context, capture_output=True, text=True
    )
    assert (
        f"{tmp_path}/v/bin/python -m pip install -c {tmp_path}/v/constraints.txt '.[minilm,serve,s3]'" in planned.stdout
    )
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(context)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "wotd/conf/train.yaml" in names
    assert "wotd/deployment/container/entrypoint.sh" in names


# --- the doors


def entered(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    """What the entry script does, with the programs of a folder before all others."""
    environment = {"PATH": f"{path}:/usr/bin:/bin", "HOME": "/nonexistent"}
    command = ["sh", str(ENTRYPOINT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--help"], "+experiment=minilm"),
        (["serve", "--help"], "Usage: wotd serve"),
        (["tensorboard", "--version"], "2."),
        (["wotd", "plan", "--help"], "Usage: wotd plan"),
    ],
)
def test_doors(arguments: list[str], said: str) -> None:
    done = entered(*arguments, path=str(Path(sys.executable).parent))
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_serve_listens_to_other_machines_where_the_image_says(tmp_path: Path) -> None:
    spy = tmp_path / "wotd"
    spy.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    spy.chmod(0o755)
    done = entered("serve", "--artifacts", "a b", path=str(tmp_path))
    assert done.stdout.splitlines() == ["serve", "--host", "0.0.0.0", "--port", "8080", "--artifacts", "a b"]


def test_a_training_goes_on_where_one_was_stopped(tmp_path: Path) -> None:
    spy = tmp_path / "wotd-train"
    spy.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    spy.chmod(0o755)
    words = ["+experiment=lsa", f"hydra.run.dir={tmp_path}/a run"]
    assert entered("train", *words, path=str(tmp_path)).stdout.splitlines() == words
    (tmp_path / "a run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "a run" / "checkpoints" / "last.ckpt").touch()
    assert entered("train", *words, path=str(tmp_path)).stdout.splitlines() == ["ckpt_path=last", *words]


# --- compose


@pytest.mark.parametrize("file", COMPOSE, ids=lambda path: path.name)
def test_compose_files_follow_the_specification(file: Path) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_compose_and_image_agree(compose: dict[str, Any], instructions: list[tuple[str, str]]) -> None:
    services = compose["services"]
    assert set(services) == {"train", "tensorboard", "server"}
    exposed = set(" ".join(values(instructions, "EXPOSE")).split())
    published = [port.split(":") for each in services.values() for port in each.get("ports", [])]
    assert {inside for *_, inside in published} == exposed
    assert {address for address, *_ in published} == {"127.0.0.1"}, "only this machine"
    made = " ".join(values(instructions, "RUN"))
    doors = re.findall(r"^  (\w+)\)", ENTRYPOINT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(doors) == {"train", "serve", "tensorboard", "healthy"}
    for name, service in services.items():
        assert service["command"][0] in doors, name
        for volume in service["volumes"]:
            source, target = volume.split(":")
            assert source in compose["volumes"]
            assert target in made, f"{target} would belong to root"
        context = (FOLDER / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]) == FOLDER / "Dockerfile"
    assert "healthcheck" not in services["server"], "that of the image"
    assert json.loads(values(instructions, "HEALTHCHECK")[0].partition("CMD ")[2]) == ["wotd-container", "healthy"]
    assert services["server"]["depends_on"] == {"train": {"condition": "service_completed_successfully"}}
    (run,) = (word.partition("=")[2] for word in services["train"]["command"] if word.startswith("hydra.run.dir="))
    assert services["server"]["command"][-1] == f"{run}/artifacts"


def test_make_builds_and_starts_them() -> None:
    def planned(*arguments: str) -> str:
        command = ["make", "-n", "--no-print-directory", *arguments]  # named only where make runs these tests
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert fnmatch.fnmatch(planned("image").strip(), "docker build --file wotd/deployment/container/Dockerfile * .")
    assert "compose.gpu.yaml" not in planned("up")
    files = re.findall(r"--file (\S+)", planned("up", "GPU=1"))
    assert [ROOT / file for file in files] == [FOLDER / "compose.yaml", FOLDER / "compose.gpu.yaml"]


# --- Docker itself


def docker(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, cwd=ROOT, **options)


def test_docker_understands_the_compose_files() -> None:
    if shutil.which("docker") is None or docker("compose", "version").returncode:
        pytest.skip("NOT TESTED: docker compose is not installed")
    for file in ([], ["--file", str(FOLDER / "compose.gpu.yaml")]):
        done = docker("compose", "--file", str(FOLDER / "compose.yaml"), *file, "config", "--quiet")
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_image_trains_and_serves() -> None:
    if shutil.which("docker") is None or docker("info").returncode:
        pytest.skip("NOT TESTED: no Docker is at work here")
    base = "python:" + re.search(r"PYTHON_VERSION=(\S+)", (FOLDER / "Dockerfile").read_text())[1] + "-slim-bookworm"
    if docker("image", "inspect", base).returncode and docker("pull", base).returncode:
        pytest.skip(f"NOT TESTED: {base} cannot be had here")
    built = subprocess.run(["make", "image", "IMAGE=wotd-test"], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    train = "train +experiment=lsa provider.n_works=24 trainer.max_epochs=1 hydra.run.dir=outputs/run"
    shell = f"id -u && wotd-container {train} && wotd-container serve --artifacts outputs/run/artifacts & "
    shell += "for _ in $(seq 120); do sleep 1; wotd-container healthy && exit 0; done; exit 1"
    done = docker("run", "--rm", "wotd-test", "sh", "-c", shell, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1000\n")
