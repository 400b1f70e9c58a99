"""Where the configs are, composing them, and checking them before anything runs.

Imports nothing of ours but the error it raises.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import InstantiationException, OverrideParseException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from wotd.errors import ConfigurationError, WOTDError

CONFIG_NAME = "train"
_PACKAGE = Path(__file__).resolve().parent
_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_recursive_", "_convert_"})
_NEEDED = frozenset({"taxonomy", "provider", "embedding", "data", "model", "trainer"})
_PLAIN_KEYS: dict[str, Any] = {
    "name": str,
    "seed": int,
    "objective": str,
    "ckpt_path": str | None,
    "artifacts.texts": bool,
    "artifacts.collisions": str,
    "artifacts.map": str,
    "artifacts.align_to": str | None,
}
"""What stands in ``train.yaml`` itself and so feeds no signature."""
NO_PART_OF_THE_RESULT = ("ckpt_path", "objective", "data.cache_dir", "trainer.strategy.timeout_s")
"""Settings that say how a run is done or judged."""

_CHOICE = re.compile(r"^\+?([a-z_/]+)=(\[|(?:null|~)?$)")


def config_directory() -> Path:
    """The folder of configs: inside the package where it was installed as a wheel, beside it in a checkout.

    Raises:
        ConfigurationError: if neither place holds ``train.yaml``; the message names both.
    """
    candidates = (_PACKAGE / "conf", _PACKAGE.parent / "conf")
    for folder in candidates:
        if (folder / f"{CONFIG_NAME}.yaml").is_file():
            return folder
    raise ConfigurationError(f"no configs found: neither {candidates[0]} nor {candidates[1]} holds {CONFIG_NAME}.yaml.")


def compose(overrides: Sequence[str] = ()) -> DictConfig:
    """Compose the training config with overrides, as the command line would.

    Raises:
        ConfigurationError: what is wrong with an override, with the nearest right key.
    """
    refuse_wrong_choices(overrides)
    if GlobalHydra.instance().is_initialized():
        return _composed(overrides)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return _composed(overrides)


def _composed(overrides: Sequence[str]) -> DictConfig:
    try:
        return hydra_compose(CONFIG_NAME, overrides=list(overrides))
    except Exception as error:  # Hydra raises several kinds, all about what was asked for
        raise ConfigurationError(explain(error, overrides)) from error


def refuse_wrong_choices(overrides: Iterable[str]) -> None:
    """Refuse what Hydra would take for a choice of a group and should not.

    Of ``provider=[a,b]`` it would let the second overwrite the first without a word; of
    ``logger=null`` it says only that something is no string.

    Raises:
        ConfigurationError: naming the form that works.
    """
    for override in overrides:
        match = _CHOICE.match(override)
        if not match or not options(match.group(1)):
            continue
        group, hint = match.group(1), "use -m to sweep over several"
        if match.group(2) != "[":
            hint = f"it has {', '.join(options(group))}" if group in _NEEDED else f"~{group} leaves it out"
        elif group == "provider":
            hint = "use provider=mixed and set a root for each"
        raise ConfigurationError(f"{override}: {group} takes one option; {hint}.")


def explain(error: BaseException, overrides: Sequence[str] = ()) -> str:
    """One sentence for an error of Hydra or OmegaConf, with the nearest right key where one is near.

    Args:
        error: what was raised.
        overrides: what was asked for; the keys of the groups chosen there are those that are right.
    """
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be read; expected KEY=VALUE, with quotes around what is more than a word."
    message = "\n".join(str(part) for part in (error, error.__cause__) if part is not None)
    if match := re.search(r"To append to your default list use \+(\S+)", message):
        return f"{match.group(1)} adds to the config; write it with a plus sign: +{match.group(1)}."
    if match := re.search(r"Could not override '([^']+)'\.\s+To append to your config use (.+)", message):
        key = match.group(1)
        inner = re.search(rf"full_key: ({re.escape(key)}\.\S+)", message)  # of a value that is a mapping
        return _no_such_key(inner.group(1) if inner else key, match.group(2), overrides)
    if match := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", message):
        group, option = match.groups()
        return (
            f"{group} has no option '{option}'{_nearest(option, options(group))}; it has {', '.join(options(group))}."
        )
    if match := re.search(r"Could not append to config\. An item is already at '([^']+)'", message):
        return f"the key '{match.group(1)}' exists already; write it without the plus sign."
    return (message.strip().splitlines() or [f"the overrides cannot be read ({type(error).__name__})"])[0].rstrip(
        "."
    ) + "."


def _no_such_key(key: str, addition: str, overrides: Sequence[str]) -> str:
    config = _with_choices(overrides)
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent)
    # An open mapping, or an argument of the target that the config leaves at its default.
    if node == {} or (isinstance(node, DictConfig) and "_target_" in node and name in _parameters(node, parent)):
        return f"'{key}' would be a new entry; write it with a plus sign: {addition}."
    return unknown_key(key, _names(config))


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence for a key that no config has."""
    known = list(known)
    return f"unknown key '{key}'{_nearest(key, known) or '; --cfg job shows all keys'}."


def _nearest(word: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(word, known, n=5, cutoff=0.6)
    # A right last part under a wrong parent; with a value before one that is a whole branch.
    same = [key for key in near or known if key.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]]
    values = [key for key in same if not any(other.startswith(f"{key}.") for other in known)]
    best = (values or near or same)[:1]
    return f"; the nearest is '{best[0]}'" if best else ""


def options(group: str) -> list[str]:
    """The options of a config group, sorted."""
    with suppress(OSError):  # no file could have such a name
        return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))
    return []


def deciding_settings(config: Any) -> dict[str, Any]:
    """What decides a run, by dotted key, as it reads after it was written down; two runs alike in it are one run."""
    written = OmegaConf.to_container(OmegaConf.create(OmegaConf.to_yaml(OmegaConf.create(config), resolve=True)))
    return {key: value for key, value in _leaves(written) if key not in NO_PART_OF_THE_RESULT}


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping) or not node:
        yield path, node
        return
    for key, value in node.items():
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def known_keys() -> list[str]:
    """Every dotted key of the default config, and the names of the groups."""
    return _names(_with_choices())


def _with_choices(overrides: Sequence[str] = ()) -> DictConfig:
    """The config with the groups chosen in the overrides and everything else as it is by default."""
    split = [(override, *override.lstrip("+").partition("=")[::2]) for override in overrides]
    choices = [override for override, group, option in split if option in options(group) or override.startswith("~")]
    with _quiet_hydra(), initialize_config_dir(str(config_directory()), version_base="1.3"):
        try:
            return hydra_compose(CONFIG_NAME, overrides=choices)
        except Exception:  # what is wrong is among the choices themselves
            return hydra_compose(CONFIG_NAME)


def _names(config: DictConfig) -> list[str]:
    keys = _keys(OmegaConf.to_container(config, resolve=False))
    return [key for key in keys if key.rpartition(".")[2] not in _HYDRA_KEYS]


class _quiet_hydra:  # noqa: N801  used like a function
    """Lets a second composition happen while the first, failed one still holds Hydra's global state."""

    def __enter__(self) -> None:
        GlobalHydra.instance().clear()

    def __exit__(self, *_: object) -> None:
        GlobalHydra.instance().clear()


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            name = f"{prefix}{key}"
            yield name
            yield from _keys(value, f"{name}.")


def check(config: DictConfig, *, unused: Iterable[str] = ()) -> None:
    """Check a composed config against the signatures it feeds, before anything runs.

    Args:
        config: the composed config.
        unused: groups that this run does not need, whose gaps do not matter.

    Raises:
        ConfigurationError: all keys without a value at once; else the first unknown key or wrong type.
    """
    try:
        _check(config, unused)
    except (OmegaConfBaseException, RecursionError) as error:  # a value that refers to none, or to itself
        raise ConfigurationError(explain(error)) from error


def _check(config: DictConfig, unused: Iterable[str]) -> None:
    used = [str(key) for key in config if key not in set(unused)]
    missing = sorted(key for key in OmegaConf.missing_keys(config) if key.split(".")[0] in used)
    if missing:
        plural = "keys have" if len(missing) > 1 else "key has"
        listed = ", ".join(f"{key}=…" for key in missing)
        raise ConfigurationError(f"{len(missing)} {plural} no value; set {listed}.")
    for group in _NEEDED.difference(unused):
        if not isinstance(config.get(group), DictConfig):
            raise ConfigurationError(f"{group} is {config.get(group)}; choose one of {', '.join(options(group))}.")
    for key, kind in _PLAIN_KEYS.items():
        _check_type(OmegaConf.select(config, key), kind, key)
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    for group in used:
        _check_node(resolved[group], group)


def _check_node(node: Any, path: str) -> None:
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        _check_call(node, path)
    for key, value in node.items():
        _check_node(value, f"{path}.{key}")


def _check_call(node: Mapping[str, Any], path: str) -> None:
    target = _located(str(node["_target_"]), path)
    parameters = _parameters(node, path)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    settings = {key: value for key, value in node.items() if key not in _HYDRA_KEYS}
    for key in settings:
        if key not in parameters:
            raise ConfigurationError(unknown_key(f"{path}.{key}", [f"{path}.{name}" for name in parameters]))
    check_types(target, settings, path)


def check_types(target: Callable[..., Any], settings: Mapping[str, Any], path: str) -> None:
    """Check settings against the types that a function or class declares for them.

    Args:
        target: what the settings are for.
        settings: plain data by the name of the argument; names that the target does not declare are passed over, and
            so are nodes of a config that are yet to be built.
        path: where they stand in the config, for errors.

    Raises:
        ConfigurationError: the first that is of the wrong type.
    """
    hints = _hints(target)
    for key, value in settings.items():
        if key in hints and not (isinstance(value, Mapping) and "_target_" in value):
            _check_type(value, hints[key], f"{path}.{key}")


def _parameters(node: Mapping[Any, Any], path: str) -> Mapping[str, inspect.Parameter]:
    target = _located(str(node["_target_"]), path)
    try:
        return inspect.signature(target).parameters
    except ValueError:  # written in C without saying what it takes
        return inspect.signature(lambda **_: None).parameters


def _located(target: str, path: str) -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = get_object(target)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{path}._target_ is {target}, which cannot be imported: {reason}.") from error
    return found


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # a hint that names what is imported for type checkers only
        return {}


def _check_type(value: Any, hint: Any, path: str) -> None:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    except Exception:  # a dataclass or a class that brings its own rules
        return
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        shown = "null" if value is None else repr(value)
        raise ConfigurationError(f"{path} is {shown}; expected {_described(hint)}.") from error


_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def _described(hint: Any) -> str:
    """A type in the words of a config: ``list of whole numbers`` rather than ``Sequence[int]``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_described(argument) for argument in arguments))
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin in (list, tuple, Sequence):
        return f"a list, each {_described(arguments[0])}" if arguments else "a list"
    if origin in (dict, Mapping):
        return "a mapping"
    return _KINDS.get(hint) or str(getattr(hint, "__name__", hint))


def build(node: Any, path: str = "", /, **given: Any) -> Any:
    """What a checked node of a config stands for: its ``_target_`` called with its settings, inner nodes first.

    Args:
        node: the node.
        path: where it stands in the config, for errors.
        given: arguments that no config holds; they are handed over as they are.

    Raises:
        WOTDError: as the target raised it, not wrapped.
        ConfigurationError: if a class of Lightning refuses its settings.
    """
    try:
        # In two steps, since Hydra would take what is given, dataclasses among it, for configs.
        return instantiate(node, _partial_=True, _convert_="all")(**given)
    except InstantiationException as error:  # of an inner node
        if isinstance(error.__cause__, WOTDError):
            raise error.__cause__ from None
        raise
    except Exception as error:
        if not str(node["_target_"]).startswith("lightning.") or isinstance(error, WOTDError):
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"{path}: {reason.rstrip('.')}.") from error


def overrides_of(settings: Mapping[str, Any]) -> list[str]:
    """Overrides as the command line takes them, of a mapping that is nested or has dotted keys.

    ``experiment`` and ``sweep`` get their plus sign; values are quoted so that Hydra reads back
    what was meant.
    """
    overrides: list[str] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            overrides += [f"{key}.{inner}" for inner in overrides_of(value)]
            continue
        plus = "+" if key in ("experiment", "sweep") else ""
        overrides.append(f"{plus}{key}={_quoted(value)}")
    return overrides


def _quoted(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(_quoted(item) for item in value)}]"
    text = str(value)
    if re.fullmatch(r"(\.{0,2}/)*[A-Za-z_][A-Za-z0-9_./-]*", text) and text.lower() not in (
        "null",
        "true",
        "false",
        "nan",
        "inf",
    ):
        return text
    # Backslashes count as such anywhere but before a quote, the closing one included.
    escaped = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{escaped}'"
