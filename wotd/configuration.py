"""Where the configs are, composing them, and checking them before anything runs.

Imports nothing of ours but the error it raises.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError

from wotd.errors import ConfigurationError

CONFIG_NAME = "train"
_PACKAGE = Path(__file__).resolve().parent
_HYDRA_KEYS = frozenset({"_target_", "_partial_", "_recursive_", "_convert_"})
_SINGLE = re.compile(r"^\+?(taxonomy|provider|embedding|data|model|trainer|experiment)=\[")


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
    refuse_lists(overrides)
    if GlobalHydra.instance().is_initialized():
        return _composed(overrides)
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return _composed(overrides)


def _composed(overrides: Sequence[str]) -> DictConfig:
    try:
        return hydra_compose(CONFIG_NAME, overrides=list(overrides))
    except Exception as error:  # Hydra raises several kinds, all about what was asked for
        raise ConfigurationError(explain(error, overrides)) from error


def refuse_lists(overrides: Iterable[str]) -> None:
    """Refuse ``provider=[a,b]``: Hydra would let the second overwrite the first without a word.

    Raises:
        ConfigurationError: naming the form that works.
    """
    for override in overrides:
        if match := _SINGLE.match(override):
            group = match.group(1)
            hint = "use provider=mixed and set a root for each" if group == "provider" else "use -m to sweep over them"
            raise ConfigurationError(f"{override}: {group} takes one option, not a list; {hint}.")


def explain(error: BaseException, overrides: Sequence[str] = ()) -> str:
    """One sentence for an error of Hydra or OmegaConf, with the nearest right key where one is near.

    Args:
        error: what was raised.
        overrides: what was asked for; the keys of the groups chosen there are those that are right.
    """
    message = " ".join(str(part) for part in (error, error.__cause__) if part is not None and str(part) != "None")
    if match := re.search(r"Could not override '([^']+)'", message):
        return unknown_key(match.group(1), known_keys(overrides))
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", message):
        group, option = match.groups()
        return (
            f"{group} has no option '{option}'{_nearest(option, options(group))}; it has {', '.join(options(group))}."
        )
    if match := re.search(r"Could not append to config\. An item is already at '([^']+)'", message):
        return f"the key '{match.group(1)}' exists already; write it without the plus sign."
    if match := re.search(r"Missing mandatory value: (\S+)", message):
        return f"the key '{match.group(1)}' has no value; set it with {match.group(1)}=VALUE."
    return message.strip().splitlines()[0].rstrip(".") + "."


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
    return sorted(path.stem for path in (config_directory() / group).glob("*.yaml"))


def known_keys(overrides: Sequence[str] = ()) -> list[str]:
    """Every dotted key of the config with the groups chosen in the overrides, and the names of the groups."""
    split = [(override, *override.lstrip("+").partition("=")[::2]) for override in overrides]
    choices = [override for override, group, option in split if option in options(group)]
    with _quiet_hydra():
        keys = _keys(OmegaConf.to_container(compose(choices), resolve=False))
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
    used = {str(key): value for key, value in OmegaConf.to_container(config, resolve=False).items()}  # type: ignore[union-attr]
    for group in unused:
        used.pop(group, None)
    missing = sorted(key for key in OmegaConf.missing_keys(config) if key.split(".")[0] in used)
    if missing:
        plural = "keys have" if len(missing) > 1 else "key has"
        listed = ", ".join(f"{key}=…" for key in missing)
        raise ConfigurationError(f"{len(missing)} {plural} no value; set {listed}.")
    resolved = OmegaConf.to_container(config, resolve=True)
    for group in used:
        _check_node(resolved[group], group)  # type: ignore[index,call-overload]


def _check_node(node: Any, path: str) -> None:
    if not isinstance(node, Mapping):
        return
    if "_target_" in node:
        _check_call(node, path)
    for key, value in node.items():
        _check_node(value, f"{path}.{key}")


def _check_call(node: Mapping[str, Any], path: str) -> None:
    target = _located(str(node["_target_"]), path)
    parameters = inspect.signature(target).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    hints = _hints(target)
    for key, value in node.items():
        if key in _HYDRA_KEYS:
            continue
        if key not in parameters:
            raise ConfigurationError(unknown_key(f"{path}.{key}", [f"{path}.{name}" for name in parameters]))
        if key in hints and not (isinstance(value, Mapping) and "_target_" in value):
            _check_type(value, hints[key], f"{path}.{key}")


def _located(target: str, path: str) -> Callable[..., Any]:
    try:
        found: Callable[..., Any] = get_object(target)
    except Exception as error:
        raise ConfigurationError(f"{path}._target_ is {target}, which cannot be imported: {error}.") from error
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
        name = getattr(hint, "__name__", str(hint)) if inspect.isclass(hint) else str(hint)
        expected = name.replace("typing.", "").replace("NoneType", "None")
        raise ConfigurationError(f"{path} is {value!r}; expected {expected}.") from error


def build(node: Any) -> Any:
    """What a checked node of a config stands for: its ``_target_`` called with its settings, inner nodes first."""
    return instantiate(node, _convert_="all")


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
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text) and text.lower() not in ("null", "true", "false", "nan", "inf"):
        return text
    # Backslashes count as such anywhere but before a quote, the closing one included.
    escaped = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{escaped}'"
