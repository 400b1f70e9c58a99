"""What users rely on is written down in ``fixtures/public_surface``, and changes on purpose only.

Names and signatures of the package, commands and options, keys of the config, files and columns of artifacts, routes
and fields of the server. To write down what has been changed on purpose, and then to say so in CHANGELOG.md:

    WOTD_UPDATE_SURFACE=1 python -m pytest tests/test_public_surface.py
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import EnumType
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
import yaml
from omegaconf import OmegaConf

import wotd
from wotd import SemanticIDModel
from wotd.cli.app import app
from wotd.serving import create_app

pytest_plugins = ("artifact_fixtures",)

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = Path(__file__).parent / "fixtures" / "public_surface"
UPDATE = "WOTD_UPDATE_SURFACE"

Surface = dict[str, str]
"""One line a thing: where it is, and what it is."""


def held(surface: Surface, name: str) -> None:
    """Hold a surface against what is written down; or write it down, where that is wanted."""
    path = WRITTEN / f"{name}.yaml"
    if os.environ.get(UPDATE) == "1":
        path.write_text(yaml.safe_dump(surface, sort_keys=True, width=1000, allow_unicode=True), encoding="utf-8")
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    changes = differences(written, surface)
    assert not changes, "\n".join(
        [
            f"what users rely on has changed ({path.relative_to(ROOT)}):",
            *changes,
            f"If that is meant, say so in CHANGELOG.md and run {UPDATE}=1 python -m pytest {Path(__file__).name}.",
        ]
    )


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """A line for what is gone, for what is new, and for what is other than it was."""
    names = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    return [
        line
        for name in names
        for line in (
            *([f"- {name}: {before[name]}"] if name in before else []),
            *([f"+ {name}: {now[name]}"] if name in now else []),
        )
    ]


# --- Python


def of_python() -> Surface:
    """The public names; of classes also fields, properties and methods."""
    surface = {}
    for name in wotd.__all__:
        value = getattr(wotd, name)
        if inspect.isclass(value):
            surface |= {f"{name}.{member}": said for member, said in _members(value)}
        surface[name] = _signature(value) if callable(value) else type(value).__name__
    return surface


def _members(kind: type) -> Iterator[tuple[str, str]]:
    if is_dataclass(kind):
        yield from ((field.name, str(field.type)) for field in fields(kind))
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, classmethod | staticmethod):
            yield name, f"{type(member).__name__} {_signature(member.__func__)}"
        elif inspect.isfunction(member):
            yield name, _signature(member)
        elif (read := getattr(member, "fget", getattr(member, "func", None))) is not None:
            yield name, f"property {_signature(read)}"


def _signature(value: Any) -> str:
    """As it is written: annotations that are kept as text without quotes."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(value)))


def test_python() -> None:
    held(of_python(), "python")


# --- shell


def of_shell() -> Surface:
    """Every command with its arguments and options."""
    return dict(_of_command(typer.main.get_command(app), "wotd"))


def _of_command(command: Any, path: str) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        if parameter.name not in {"help", "install_completion", "show_completion"}:
            yield f"{path} {', '.join([*parameter.opts, *parameter.secondary_opts])}", _described(parameter)
    for name, inner in getattr(command, "commands", {}).items():
        yield f"{path} {name}", "command"
        yield from _of_command(inner, f"{path} {name}")


def _described(parameter: Any) -> str:
    kind = parameter.type_descriptor.annotation
    kind = "|".join(str(each.value) for each in kind) if isinstance(kind, EnumType) else getattr(kind, "__name__", kind)
    many = " …" if parameter.multiple or parameter.nargs == -1 else ""
    default = "required" if parameter.required else getattr(parameter.default, "value", parameter.default)
    return f"{kind}{many}, {'computed' if callable(default) else default}"


def test_shell() -> None:
    held(of_shell(), "shell")


# --- config


def of_config() -> Surface:
    """Every key of every file of ``conf``, with its default."""
    surface = {}
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        place = path.relative_to(ROOT / "conf").with_suffix("").as_posix()
        settings = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        surface |= {f"{place}: {key}": said for key, said in _leaves(settings)}
    return surface


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value and not path.startswith("hydra.help"):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif path != "hydra.help":
        yield path, json.dumps(value, ensure_ascii=False)


def test_config() -> None:
    held(of_config(), "config")


# --- artifacts

OPEN = {"files", "libraries", "corpora", "facts", "metrics", "seconds", "counts", "dropped", "settings"}
"""Objects whose keys are not fixed, but name files, packages, works, metrics …"""


def of_artifacts(*folders: Path) -> Surface:
    """Keys and types of the JSON files, columns and types of the table, names of the files."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for name in ("config.json", "semantic_ids.json", "training_results.json"):
            for path, kind in _types(json.loads((folder / name).read_text(encoding="utf-8")), f"{name}/"):
                found.setdefault(path, set()).add(kind)
        for column in pq.read_schema(folder / "codes.parquet"):
            found.setdefault(f"codes.parquet/{column.name}", set()).add(str(column.type))
        for path in folder.iterdir():
            found.setdefault(f"{path.name}{'/' * path.is_dir()}", set()).add("file" if path.is_file() else "folder")
    return {path: " | ".join(sorted(kinds)) for path, kinds in found.items()}


def _types(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Where in a JSON document which types are; items of a list and values of an open object count as one."""
    yield path, {"NoneType": "null", "dict": "object"}.get(type(value).__name__, type(value).__name__)
    if isinstance(value, dict):
        is_open = path.rstrip("/").rpartition("/")[2] in OPEN
        for key, inner in value.items():
            yield from _types(inner, f"{path.rstrip('/')}/{'*' if is_open else key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _types(inner, f"{path}[]")


def test_artifacts(text_artifacts: Path, vector_artifacts: Path) -> None:
    held(of_artifacts(text_artifacts, vector_artifacts), "artifacts")


# --- server


def of_server(description: Mapping[str, Any]) -> Surface:
    """Routes with their parameters, bodies and answers; fields of what they take and give."""
    surface = {}
    for path, verbs in description["paths"].items():
        for verb, route in verbs.items():
            place = f"{verb.upper()} {path}"
            surface[place] = ", ".join(sorted(route["responses"]))
            for each in route.get("parameters", ()):
                surface[f"{place} {each['in']} {each['name']}"] = _schema(each["schema"])
            for kind, content in route.get("requestBody", {}).get("content", {}).items():
                surface[f"{place} takes {kind}"] = _schema(content.get("schema", {}))
            for kind, content in route["responses"].get("200", {}).get("content", {}).items():
                surface[f"{place} gives {kind}"] = _schema(content.get("schema", {}))
    for name, schema in description["components"]["schemas"].items():
        required = schema.get("required", ())
        for field, inner in schema.get("properties", {}).items():
            surface[f"{name}.{field}"] = f"{_schema(inner)}{'' if field in required else ', optional'}"
    return surface


def _schema(schema: Mapping[str, Any]) -> str:
    """A schema in a line, without what only people read."""
    silent = {"title", "description", "examples", "example"}

    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: told(inner) for key, inner in value.items() if key not in silent or isinstance(inner, Mapping)}
        return [told(inner) for inner in value] if isinstance(value, list) else value

    plain = told(schema)
    if set(plain) == {"$ref"}:
        return plain["$ref"].rpartition("/")[2]
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def test_server(text_artifacts: Path) -> None:
    held(of_server(create_app(SemanticIDModel.load(text_artifacts)).openapi()), "server")


# --- a change is told


def test_a_change_names_what_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(UPDATE, raising=False)
    surface = of_shell()
    gone = surface.pop("wotd describe")
    surface["wotd encode --loud"] = "boolean, False"
    with pytest.raises(AssertionError) as told:
        held(surface, "shell")
    lines = [line.strip() for line in str(told.value).splitlines()]
    assert lines[1:3] == [f"- wotd describe: {gone}", "+ wotd encode --loud: boolean, False"]
    assert "CHANGELOG.md" in lines[3]
    assert UPDATE in lines[3]
