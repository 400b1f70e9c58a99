"""Reads a model folder without loading the model: hashes of its files, and what its settings say.

So a run whose texts are all in the cache needs neither torch nor sentence-transformers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wotd import provenance
from wotd.errors import EmbeddingError

_VOCABULARIES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "added_tokens.json",
)
_OTHER_BACKENDS = {"onnx", "openvino"}
_VOLATILE = {"_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype", "__version__"}
"""Keys that a mere re-saving changes and that decide no vector."""

_hashes: dict[tuple[str, int, int], str] = {}


@dataclass(frozen=True)
class ModelDescription:
    """What the files of a model folder say."""

    weights_sha256: str
    tokenizer_sha256: str
    configuration_sha256: str
    pooling: str
    max_tokens: int | None
    dimension: int | None
    """None: only the loaded model can tell."""
    default_prompt: str
    truncate_dim: int | None
    """The size to which the model itself cuts its vectors."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 over all that decides what the network computes of tokens and which tokens it reads."""
        return _canonical_hash([self.weights_sha256, self.tokenizer_sha256, self.configuration_sha256])


def describe_model(folder: Path) -> ModelDescription:
    """Hash and read the files of a model folder.

    Raises:
        EmbeddingError: if a settings file is not readable JSON.
    """
    modules = _modules(folder)
    settings = {name: _json(folder / name) for name in _settings_files(folder, modules)}
    settings |= {"modules": [[_kind(module), module.get("path", "")] for module in modules]} if modules else {}
    own = folder / "config_sentence_transformers.json"
    saved = _json(own) if own.is_file() else {}
    return ModelDescription(
        weights_sha256=_combined(folder, weight_files(folder)),
        tokenizer_sha256=_combined(folder, _tokenizer_files(folder)),
        configuration_sha256=_canonical_hash(settings) if settings else "",
        pooling=_pooling(folder, modules),
        max_tokens=_max_tokens(folder),
        dimension=_dimension(folder, modules),
        default_prompt=(saved.get("prompts") or {}).get(saved.get("default_prompt_name")) or "",
        truncate_dim=saved.get("truncate_dim"),
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, sorted; exports for other backends are not among them."""
    return sorted(p for p in folder.rglob("*.safetensors") if not _OTHER_BACKENDS & set(p.relative_to(folder).parts))


def missing_files(folder: Path) -> list[str]:
    """What an interrupted download has not brought: parts of the weights, settings of modules, the tokenizer."""
    modules = _modules(folder)
    names = [f"{module.get('path')}/config.json" for module in modules if _kind(module) in {"Pooling", "Dense"}]
    for index in folder.glob("*.safetensors.index.json"):
        names += sorted(set(_json(index).get("weight_map", {}).values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if not _tokenizer_files(folder) and "BoW" not in map(_kind, modules):
        missing.append("tokenizer.json")
    return missing if weight_files(folder) else [*missing, "safetensors weights"]


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file; remembered within the process while its size and time stand."""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _hashes:
        _hashes[key] = provenance.file_sha256(path)
    return _hashes[key]


def refuse_pickled_weights(folder: Path) -> None:
    """Raise if a module of the model, or an adapter, would be read from a pickle.

    Raises:
        EmbeddingError: naming the file.
    """
    for part in _parts(folder):
        safe = any((part / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json"))
        pickles = [] if safe else sorted(part.glob("pytorch_model*.bin"))
        if not (part / "adapter_model.safetensors").is_file():
            pickles += sorted(part.glob("adapter_model*.bin"))
        if pickles:
            raise EmbeddingError(
                f"{pickles[0]} is a pickle, which can run code when it is read; expected weights as safetensors."
            )


def named_code(folder: Path) -> str:
    """Which code of its own a model names, as a phrase; empty if sentence-transformers and transformers do."""
    for module in _modules(folder):
        if not str(module.get("type", "")).startswith("sentence_transformers."):
            return f"modules.json names {module.get('type')}"
    for part in _parts(folder):
        for name in ("config.json", "tokenizer_config.json"):
            if (part / name).is_file() and (code := _json_object(part / name).get("auto_map")):
                return f"{name} names {next(iter(code.values())) if isinstance(code, dict) and code else code}"
    return ""


def pooling_of(folder: Path) -> str:
    """How vectors are made of those of tokens: ``mean``, ``cls``, ``lasttoken`` …, or the modules, if none pools."""
    return _pooling(folder, _modules(folder))


def _modules(folder: Path) -> list[dict[str, Any]]:
    """The modules of a model, each followed by those that it holds itself."""
    path = folder / "modules.json"
    modules = _json(path) if path.is_file() else []
    listed = [module for module in modules if isinstance(module, dict)] if isinstance(modules, list) else []
    return [each for module in listed for each in (module, *_held(folder, str(module.get("path", ""))))]


def _held(folder: Path, path: str) -> Iterator[dict[str, Any]]:
    """What a router chooses from: modules in folders below its own."""
    for name in ("router_config.json", "config.json"):
        if not (folder / path / name).is_file():
            continue
        types = _json_object(folder / path / name).get("types")
        for inner, kind in types.items() if isinstance(types, dict) else ():
            below = f"{path}/{inner}" if path else str(inner)
            yield {"type": kind, "path": below}
            yield from _held(folder, below)
        return


def _parts(folder: Path) -> list[Path]:
    """The folders from which a model's modules are read."""
    return list(dict.fromkeys([folder, *(folder / str(module.get("path", "")) for module in _modules(folder))]))


def _kind(module: dict[str, Any]) -> str:
    """Name of the class; the package it lies in changed between versions."""
    return str(module.get("type", "")).rpartition(".")[2]


def _settings_files(folder: Path, modules: list[dict[str, Any]]) -> list[str]:
    """Names of the JSON files that decide vectors, relative to the folder.

    Only those that every way of fetching a model brings along; prompt and cutting are on record by value.
    """
    names = ["tokenizer_config.json", "sentence_bert_config.json", "config.json"]
    for module in modules:
        part = str(module.get("path", ""))
        names += [f"{part}/{name}" for name in ("config.json", "tokenizer_config.json") if part]
    return [name for name in dict.fromkeys(names) if (folder / name).is_file()]


def _tokenizer_files(folder: Path) -> list[Path]:
    parts = _parts(folder)
    whole = [part / "tokenizer.json" for part in parts if (part / "tokenizer.json").is_file()]
    return whole or [part / name for part in parts for name in _VOCABULARIES if (part / name).is_file()]


def _combined(folder: Path, files: Iterable[Path]) -> str:
    """The SHA-256 of a single file, or over names and SHA-256 of several; empty if there is none."""
    hashes = [(path.relative_to(folder).as_posix(), file_sha256(path)) for path in files]
    if len(hashes) < 2:
        return hashes[0][1] if hashes else ""
    return _canonical_hash(hashes)


def _canonical_hash(data: Any) -> str:
    return hashlib.sha256(json.dumps(_lasting(data), sort_keys=True).encode("ascii")).hexdigest()


def _lasting(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _lasting(value) for key, value in data.items() if key not in _VOLATILE}
    return [_lasting(value) for value in data] if isinstance(data, list | tuple) else data


def _module_settings(folder: Path, modules: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    for module in modules:
        path = folder / str(module.get("path", "")) / "config.json"
        if _kind(module) == kind and path.is_file():
            return dict(_json(path))
    return {}


def _pooling(folder: Path, modules: list[dict[str, Any]]) -> str:
    settings = _module_settings(folder, modules, "Pooling")
    if not settings:
        return ", ".join(map(_kind, modules)) or "default"
    named = settings.get("pooling_mode")
    if named is None:
        named = [k.removeprefix("pooling_mode_").removesuffix("_tokens") for k, on in settings.items() if on is True]
        named = [mode.removesuffix("_token") for mode in named if mode != "include_prompt"]
    return named if isinstance(named, str) else "+".join(named)


def _max_tokens(folder: Path) -> int | None:
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("config.json", "max_seq_length")):
        value = _json(folder / name).get(key) if (folder / name).is_file() else None
        if isinstance(value, int):
            return value
    limits = [
        _json(folder / name).get(key)
        for name, key in (("tokenizer_config.json", "model_max_length"), ("config.json", "max_position_embeddings"))
        if (folder / name).is_file()
    ]
    # Tokenizers without a limit of their own say 10^30.
    return min((limit for limit in limits if isinstance(limit, int) and limit < 10**9), default=None)


def _dimension(folder: Path, modules: list[dict[str, Any]]) -> int | None:
    for kind, keys in (("Dense", ("out_features",)), ("Pooling", ("embedding_dimension", "word_embedding_dimension"))):
        settings = _module_settings(folder, modules, kind)
        for key in keys:
            if isinstance(settings.get(key), int):
                modes = _pooling(folder, modules).count("+") + 1 if kind == "Pooling" else 1
                return int(settings[key]) * modes
    return None


def _json_object(path: Path) -> dict[str, Any]:
    data = _json(path)
    return data if isinstance(data, dict) else {}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmbeddingError(f"{path} cannot be read as JSON ({error}).") from error
