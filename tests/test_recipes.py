"""Every recipe, every option of every group and every value of every sweep composes, resolves and fits its target.

Nothing is downloaded, built or trained: keys are bound to signatures only.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from wotd import configuration

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"

# What only the user can say: where the corpus lies, and which model is meant by none of the short names.
LEFT_TO_THE_USER = {"root", "model"}
# Keys by which Hydra steers `instantiate`; they never reach the target.
STEERING = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


def options() -> list[str]:
    """Each option of each group as ``group=option``."""
    files = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.rglob("*.yaml"))
    return [f"{path.parent.as_posix()}={path.name}" for path in files if path.parent != Path()]


@cache
def chosen_groups() -> set[str]:
    """The groups of which a default is chosen already; another group is added with a plus sign."""
    return set(composed().hydra.runtime.choices)


def composed(*overrides: str) -> DictConfig:
    """The training config with these overrides, Hydra's own part included."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


def chosen(option: str) -> str:
    """The override that chooses an option."""
    group = option.split("=")[0]
    return option if group in chosen_groups() else f"+{option}"


def leaves(node: DictConfig | ListConfig, path: str = "") -> Iterator[tuple[str, Any, DictConfig | ListConfig]]:
    """Path, key and parent of each value that is no container."""
    for key in node if isinstance(node, DictConfig) else range(len(node)):
        here = f"{path}.{key}" if path else str(key)
        child = node._get_node(key)
        if isinstance(child, DictConfig | ListConfig) and not (child._is_none() or child._is_interpolation()):
            yield from leaves(child, here)
        else:
            yield here, key, node


def unresolved(config: DictConfig) -> list[str]:
    """What is missing or points nowhere, save what the user or the running job alone can say."""
    problems = []
    for path, key, parent in leaves(config):
        if path.startswith("hydra."):
            continue
        if OmegaConf.is_missing(parent, key):
            if str(key) not in LEFT_TO_THE_USER:
                problems.append(f"{path} is ???; a recipe may leave out {sorted(LEFT_TO_THE_USER)} only")
            continue
        raw = str(parent._get_node(key)._value())
        try:
            parent[key]
        except InterpolationResolutionError as error:
            if "${hydra:" not in raw:
                problems.append(f"{path} is {raw}, which does not resolve: {error.msg}")
    return problems


def targets(node: Any, path: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Each node that Hydra would build, with its path."""
    if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
        if "_target_" in node:
            yield path, node
        for key in node:
            if not OmegaConf.is_missing(node, key):
                yield from targets(node._get_node(key), f"{path}.{key}" if path else str(key))
    elif isinstance(node, ListConfig) and not node._is_none():
        for index in range(len(node)):
            yield from targets(node._get_node(index), f"{path}.{index}")


def imported(name: str) -> Any:
    """The class or function behind a dotted name."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if not ".".join(parts[:length]).startswith(error.name or "?"):
                raise
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


def unfit(config: DictConfig) -> list[str]:
    """Targets that cannot be imported or do not take the keys they are given.

    Arguments that are absent are no fault: the pipeline passes at run time what only it knows.
    """
    problems = []
    for path, node in targets(config):
        if path.startswith("hydra."):
            continue
        name = str(node["_target_"])
        keys = [str(key) for key in node if key not in STEERING]
        try:
            inspect.signature(imported(name)).bind_partial(*node.get("_args_", ()), **dict.fromkeys(keys))
        except (ImportError, AttributeError) as error:
            problems.append(f"{path}: {name} cannot be imported: {error}")
        except TypeError as error:
            problems.append(f"{path}: {name} does not fit: {error}")
    return problems


def swept(config: DictConfig) -> Iterator[str]:
    """Each value of each parameter that a sweep varies, of an interval both ends, as an override of its own."""
    for key, values in (config.hydra.sweeper.get("params") or {}).items():
        override = OverridesParser.create().parse_override(f"{key}={values}")
        if override.is_interval_sweep():
            choices = [override.value().start, override.value().end]
        else:
            choices = override.sweep_string_iterator() if override.is_sweep_override() else [str(values)]
        yield from (f"{key}={choice}" for choice in choices)


def names(group: str) -> list[str]:
    """Options of one group."""
    return [option for option in options() if option.split("=")[0] == group]


@pytest.mark.parametrize("recipe", names("experiment"))
def test_a_recipe_composes_resolves_and_fits(recipe: str) -> None:
    config = composed(f"+{recipe}")
    problems = unresolved(config) + unfit(config)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("option", [option for option in options() if not option.startswith("experiment=")])
def test_an_option_alone_composes_resolves_and_fits(option: str) -> None:
    config = composed(chosen(option))
    problems = unresolved(config) + unfit(config)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("option", options())
def test_what_is_shipped_passes_the_check_that_runs_begin_with(option: str) -> None:
    config = configuration.compose([chosen(option)])
    gaps = OmegaConf.missing_keys(config)
    if gaps:
        config = configuration.compose([chosen(option), *(f"{key}=somewhere" for key in gaps)])
    assert {gap.rsplit(".", 1)[-1] for gap in gaps} <= LEFT_TO_THE_USER
    configuration.check(config)


@pytest.mark.parametrize("sweep", names("sweep"))
def test_every_value_of_a_sweep_composes_and_fits(sweep: str) -> None:
    overrides = list(swept(composed(chosen(sweep))))
    assert overrides, f"{sweep} sweeps over nothing"
    for override in overrides:
        config = composed("+experiment=minilm", override)
        problems = unresolved(config) + unfit(config)
        assert not problems, f"{override}: " + "\n".join(problems)


def test_the_minilm_recipe_is_added_with_a_plus_sign() -> None:
    assert "experiment" not in chosen_groups()
    assert composed("+experiment=minilm").hydra.runtime.choices.experiment == "minilm"


def test_the_command_line_wins_over_a_recipe() -> None:
    for recipe in names("experiment"):
        assert composed(f"+{recipe}", "seed=4242").seed == 4242, recipe


@pytest.mark.parametrize("recipe", names("experiment"))
def test_a_recipe_says_only_what_differs(recipe: str) -> None:
    path = CONF / "experiment" / f"{recipe.split('=')[1]}.yaml"
    assert path.read_text(encoding="utf-8").startswith("# @package _global_")
    own = OmegaConf.load(path)
    groups = {
        key: option for entry in own.get("defaults", ()) if isinstance(entry, Mapping) for key, option in entry.items()
    }
    base = composed(*(chosen(f"{key.split('/', 1)[1]}={option}") for key, option in groups.items()))
    repeated = []
    for key_path, key, parent in leaves(own):
        if not key_path.startswith("defaults"):
            value = OmegaConf.select(base, key_path, throw_on_missing=False)
            if value is not None and not OmegaConf.is_interpolation(parent, key) and value == parent[key]:
                repeated.append(key_path)
    assert not repeated, f"{path.name} repeats what train.yaml's choice says already: {repeated}"
