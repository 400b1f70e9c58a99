"""The artifact folder: what a run leaves for others to use, complete or absent.

====================== =====================================================================
config.json            schema, encoder, embedding, features, taxonomy, provenance, checksums of the rest
encoder.safetensors    weights and codebooks
semantic_ids.json      label and code of every work
codes.parquet          code of every passage
training_results.json  metrics, durations, counts
training_config.yaml   the settings of the run
README.md, plots/      a model card
report.html            a page with the same figures
====================== =====================================================================

Reading needs neither Lightning nor Hydra, and nothing in it is ever unpickled.
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wotd.embeddings.fingerprint import Fingerprint
from wotd.errors import ArtifactError, WOTDError
from wotd.locks import held
from wotd.parquet_footer import check_footer
from wotd.provenance import file_sha256
from wotd.replacing import folder_beside, left_beside
from wotd.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa

    from wotd.encoders import SemanticEncoder

logger = logging.getLogger(__name__)

SCHEMA = 1
CONFIG, WEIGHTS, SEMANTIC_IDS = "config.json", "encoder.safetensors", "semantic_ids.json"
CODES, RESULTS, TRAINING_CONFIG = "codes.parquet", "training_results.json", "training_config.yaml"
CARD, PAGE = "README.md", "report.html"

_REQUIRED = (WEIGHTS, SEMANTIC_IDS, CODES)
MAX_CONFIG_BYTES = 4 * 1024 * 1024
MAX_TEXT_RATIO = 100
"""How many times its own size the table of passages may have in memory; real ones have ten times."""

MAX_TABLE_RATIO = 512
"""The same for texts and numbers together: 64 levels of one and the same code, and nothing else, have 400 times."""

_FREE_BYTES, _FREE_TABLE_BYTES, _FREE_ROW_BYTES, _BATCH_ROWS = 1024 * 1024, 16 * 1024 * 1024, 64, 64
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}


@dataclass(frozen=True)
class Artifacts:
    """An artifact folder that was checked: schema known, every file as it was written."""

    folder: Path
    config: Mapping[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> Artifacts:
        """Open and check a folder.

        Raises:
            ArtifactError: in one sentence, what is missing, damaged or too new.
        """
        path = Path(folder).expanduser()
        if not path.is_dir():
            raise ArtifactError(f"artifacts is {path}, which is not a folder; expected what a training run wrote.")
        config = _read_config(path)
        for name in _REQUIRED:
            if name not in config["files"]:
                raise ArtifactError(f"{path}/{CONFIG} does not list {name}; the artifacts are incomplete.")
        for name, expected in config["files"].items():
            _verify(path, name, expected)
        artifacts = cls(path, config)
        artifacts._check_levels()
        return artifacts

    def _check_levels(self) -> None:
        """Names of codes are only those of the taxonomy if its levels are the encoder's."""
        ours = self.config["encoder"].get("level_sizes")
        if self.named and self.taxonomy is not None and list(self.taxonomy.sizes) != ours:
            raise ArtifactError(
                f"{self.folder}/{CONFIG} has levels of {ours} codes, but names them by a taxonomy of "
                f"{list(self.taxonomy.sizes)}; it is damaged."
            )

    @cached_property
    def taxonomy(self) -> Taxonomy | None:
        """The taxonomy its labels follow; None for artifacts of bare vectors."""
        data = self.config.get("taxonomy")
        try:
            return None if data is None else Taxonomy.from_mapping(data)
        except (WOTDError, TypeError, ValueError, KeyError) as error:
            raise ArtifactError(f"{self.folder}/{CONFIG} holds a taxonomy that cannot be read: {error}") from error

    @cached_property
    def _not_packed(self) -> set[str]:
        """Choices of columns that were looked at, which takes as long as to read them."""
        return set()

    @property
    def named(self) -> bool:
        """Whether the levels of a code are the levels of the taxonomy."""
        return bool(self.config.get("named")) and self.taxonomy is not None

    @property
    def fingerprint(self) -> Fingerprint | None:
        """Of the embedding model its codes were learned from; None for bare vectors."""
        return self._fingerprint("embedding")

    @property
    def features_fingerprint(self) -> Fingerprint | None:
        """Of the features that stand beside the embedding; None where there are none."""
        return self._fingerprint("features")

    def _fingerprint(self, part: str) -> Fingerprint | None:
        data = self.config.get(part)
        try:
            return None if data is None else Fingerprint.from_mapping(data["fingerprint"])
        except (WOTDError, TypeError) as error:
            raise ArtifactError(f"{self.folder}/{CONFIG} holds a fingerprint that cannot be read: {error}") from error

    @property
    def feature_dim(self) -> int:
        """F, how many features stand beside the embedding in the rows that the encoder reads."""
        return int(self.config["encoder"].get("feature_dim", 0))

    @property
    def row_dim(self) -> int:
        """D+F, the width of those rows."""
        return int(self.config["encoder"]["input_dim"]) + self.feature_dim

    def encoder(self) -> SemanticEncoder:
        """The trained encoder, in eval mode on the CPU, without gradients.

        Raises:
            ArtifactError: if weights and config do not fit each other.
        """
        from safetensors.torch import load_file

        from wotd.encoders import SemanticEncoder

        try:
            encoder = SemanticEncoder.restored(self.config["encoder"], load_file(self.folder / WEIGHTS))
        except Exception as error:  # configs and weights of strangers fail in many ways
            reason = " ".join(str(error).split())  # torch lists what is missing on lines of its own
            raise ArtifactError(f"{self.folder}/{WEIGHTS} does not fit {CONFIG}: {reason[:300]}") from error
        return encoder.requires_grad_(False)

    def semantic_ids(self) -> dict[str, Any]:
        """The content of ``semantic_ids.json``."""
        return read_semantic_ids(self.folder / SEMANTIC_IDS)

    def codes(self, columns: list[str] | None = None) -> pa.Table:
        """The passages' table, or some of its columns.

        Raises:
            ArtifactError: if it cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / CODES
        try:
            with pq.ParquetFile(path) as file:
                if repr(columns) not in self._not_packed:
                    check_footer(path)
                    _refuse_packed(file, path, columns)
                    self._not_packed.add(repr(columns))
                return file.read(columns=columns)
        except (pa.ArrowException, OSError, UnicodeError) as error:  # the last for names of columns
            raise ArtifactError(f"{self.folder}/{CODES} cannot be read: {error}") from error


def _refuse_packed(file: Any, path: Path, columns: list[str] | None) -> None:
    """Refuse a table that is kilobytes on disk and would be gigabytes in memory, because its rows are all alike.

    Raises:
        ArtifactError: if it unpacks to more than it ever does.
    """
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    if columns is not None:
        below = tuple(f"{name}." for name in columns)
        chunks = [chunk for chunk in chunks if f"{chunk.path_in_schema}.".startswith(below)]
    size = path.stat().st_size
    _refuse_beyond(sum(map(_unpacked, chunks)), MAX_TABLE_RATIO, MAX_TABLE_RATIO * size + _FREE_TABLE_BYTES, path)
    shared = {chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page}
    texts = {field.name for field in file.schema_arrow if str(field.type) in ("string", "large_string")}
    most = MAX_TEXT_RATIO * size + _FREE_BYTES + _FREE_ROW_BYTES * file.metadata.num_rows
    most = min(most, MAX_TABLE_RATIO * size + _FREE_TABLE_BYTES)
    unpacked = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=sorted(texts & shared)) if texts & shared else ():
        unpacked += batch.nbytes
        _refuse_beyond(unpacked, MAX_TEXT_RATIO, most, path)


def _unpacked(chunk: Any) -> int:
    """Bytes in memory of a column of some rows, by what the file says of it; of texts that are kept once, once."""
    return int(max(chunk.num_values * _WIDTHS.get(chunk.physical_type, 4), chunk.total_uncompressed_size))


def _refuse_beyond(unpacked: int, ratio: int, most: int, path: Path) -> None:
    if unpacked > most:
        raise ArtifactError(f"{path} unpacks to over {ratio} times its size; it is damaged.")


def listed_files(folder: Path) -> list[str]:
    """Names of the files that belong to a folder of which only ``config.json`` need be there; all lie inside it.

    Raises:
        ArtifactError: if that is missing, or none that a training run wrote.
    """
    return list(_read_config(folder)["files"])


def copy_files(artifacts: Artifacts, folder: Path) -> None:
    """Copy all files of artifacts into a folder, ``config.json`` last."""
    for name in (*artifacts.config["files"], CONFIG):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifacts.folder / name, folder / name)


def read_semantic_ids(path: str | Path) -> dict[str, Any]:
    """A ``semantic_ids.json``, checked for its schema.

    Raises:
        ArtifactError: if it is missing, no JSON, or of a newer schema.
    """
    file = Path(path).expanduser()
    try:
        with _no_cycles_sought():
            data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"{file} does not exist; expected a semantic_ids.json.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{file} is not a readable semantic_ids.json: {error}.") from error
    if not isinstance(data, dict) or "corpora" not in data:
        raise ArtifactError(f"{file} is not a semantic_ids.json: it has no 'corpora'.")
    _check_schema(data.get("schema"), file)
    return data


@contextmanager
def _no_cycles_sought() -> Iterator[None]:
    """Keep the garbage collector from looking through all that was read again and again; JSON has no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def writing(folder: str | Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` when the block ends well, and vanishes otherwise.

    Artifacts that stood there before are replaced whole. Where the folder cannot be renamed (a mount),
    files are moved into it one by one with ``config.json`` last, so that it is never readable by halves.

    Raises:
        ArtifactError: if something else stands there, which would be lost.
    """
    target = Path(folder).expanduser().resolve()
    check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(f".{target.name}.lock")
    with held(lock, waiting=lambda: logger.info("%s: waiting for the process that writes it", target)) as alone:
        if alone:  # then nobody works on what a killed process has left
            for left in left_beside(target):
                _bring_back(left, target)
                shutil.rmtree(left, ignore_errors=True)
        temporary = folder_beside(target)
        try:
            yield temporary
            _sync(temporary)
            _put_in_place(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_target(folder: str | Path) -> None:
    """Refuse to write artifacts where something else would be lost: a file, or a folder of other things.

    Raises:
        ArtifactError: what stands there.
    """
    target = Path(folder).expanduser()
    if not target.exists() or os.path.ismount(target):
        return
    if not target.is_dir():
        raise ArtifactError(f"{target} is not a folder; artifacts would replace it: choose another place.")
    if any(target.iterdir()) and not _is_ours(target):
        raise ArtifactError(f"{target} holds other things than artifacts, which would be lost: choose another place.")


def _is_ours(folder: Path) -> bool:
    """Whether a folder was written by a run, be it of another version or cut short."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return (folder / WEIGHTS).is_file()
    return isinstance(config, dict) and "schema" in config and "files" in config


def save_encoder(folder: Path, encoder: SemanticEncoder) -> None:
    """Write an encoder's weights and codebooks into a folder."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in encoder.state_dict().items()}, folder / WEIGHTS)


def seal(folder: Path, config: Mapping[str, Any]) -> None:
    """Write ``config.json`` with the checksums of all files that are in the folder."""
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / CONFIG
    }
    write_json(folder / CONFIG, {"schema": SCHEMA, **config, "files": files})


def write_json(path: Path, data: Any) -> None:
    """Write JSON that people can read and that any parser accepts (NaN becomes null)."""
    path.write_text(json.dumps(_finite(data), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_works(path: Path, head: Mapping[str, Any], works: Iterable[tuple[str, Any]]) -> None:
    """Write a ``semantic_ids.json``, a line a work: many are written in little memory, and read faster than indented.

    Args:
        path: of the file.
        head: what stands before the works.
        works: corpus IDs and what is said of each.
    """
    begin, _ = json.dumps(_finite({**head, "corpora": {}}), indent=2, ensure_ascii=False).rsplit("}\n", 1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(begin)
        for number, (corpus, work) in enumerate(works):
            file.write(f"{',' if number else ''}\n    {_line(corpus)}: {_line(work)}")
        file.write("\n  }\n}\n")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _line(data: Any) -> str:
    """The same JSON on one line; most data is all finite and need not be looked through."""
    try:
        return _encode(data)
    except ValueError:
        return _encode(_finite(data))


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if data == data and abs(data) != float("inf") else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        below = folder / "artifacts"
        hint = f" Did you mean {below}?" if (below / CONFIG).is_file() else ""
        raise ArtifactError(
            f"{folder} holds no {CONFIG}; it is no artifact folder, or its writing was cut short.{hint}"
        )
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ArtifactError(f"{path} has {path.stat().st_size} bytes; at most {MAX_CONFIG_BYTES} are read.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not readable JSON: {error}.") from error
    if not isinstance(config, dict):
        raise ArtifactError(f"{path} holds a {type(config).__name__}; expected an object.")
    _check_schema(config.get("schema"), path)
    if not isinstance(config.get("files"), dict) or not isinstance(config.get("encoder"), dict):
        raise ArtifactError(f"{path} lacks 'files' or 'encoder'; it was not written by a training run.")
    for name in config["files"]:
        _check_inside(name, path)
    for part in ("embedding", "features"):
        _check_embedder(config.get(part), part, path)
    return config


def _check_inside(name: str, path: Path) -> None:
    """A name that a config lists is a plain relative one, on whatever system, and not that of the config itself."""
    if name.startswith("/") or ".." in name.split("/") or {"\\", ":"} & set(name):
        raise ArtifactError(f"{path} lists the file {name!r}, which lies outside the folder.")
    if name == CONFIG or not name.isprintable() or {"", "."} & set(name.split("/")):
        raise ArtifactError(f"{path} lists the file {name!r}, which cannot be read as a name of one beside it.")


def _check_embedder(embedder: Any, name: str, path: Path) -> None:
    if embedder is None:
        return
    parts = {"settings": dict, "fingerprint": dict, "probe": list}
    if not isinstance(embedder, dict) or not all(isinstance(embedder.get(n), kind) for n, kind in parts.items()):
        raise ArtifactError(f"{path} holds '{name}' without {', '.join(parts)}; it is damaged.")
    probe = embedder["probe"]
    rows = probe if all(isinstance(row, list) for row in probe) else [probe]  # once there was one probe text
    if not rows or not all(isinstance(value, int | float) for row in rows for value in row):
        raise ArtifactError(f"{path} holds a probe vector that is not all numbers; it is damaged.")
    if len({len(row) for row in rows}) > 1:
        raise ArtifactError(f"{path} holds probe vectors of several lengths; it is damaged.")


def _check_schema(schema: Any, path: Path) -> None:
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ArtifactError(f"{path} has the schema {schema!r}; expected a number from 1 to {SCHEMA}.")
    if schema > SCHEMA:
        raise ArtifactError(f"{path} has schema {schema}, newer than this wotd reads ({SCHEMA}); upgrade wotd.")


def _verify(folder: Path, name: str, expected: Any) -> None:
    path = folder / name
    try:
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; the artifacts are incomplete.")
        found = file_sha256(path)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error
    if found != expected:
        raise ArtifactError(f"{path} is not as it was written (its checksum differs); it was changed or cut short.")


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o644)  # some writers make files private; artifacts are for others
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _put_in_place(temporary: Path, target: Path) -> None:
    temporary.chmod(0o755)  # mkdtemp makes it private; artifacts are for others
    if os.path.ismount(target):
        _move_into(temporary, target)
        return
    try:
        _replace(temporary, target)
    except OSError as error:
        if error.errno != errno.EBUSY:  # a mount that ismount does not see: a folder of the same disk
            raise
        _move_into(temporary, target)


def _bring_back(left: Path, target: Path) -> None:
    """Undo a replacing that was killed when the old artifacts were put aside and the new ones not yet there."""
    old = left / target.name
    if not target.exists() and list(left.iterdir()) == [old]:
        old.rename(target)


def _replace(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    retired = folder_beside(target)
    old = retired / target.name
    try:
        target.rename(old)
        temporary.rename(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        retired.rmdir()
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _move_into(temporary: Path, target: Path) -> None:
    (target / CONFIG).unlink(missing_ok=True)
    for path in sorted(temporary.rglob("*"), key=lambda p: p == temporary / CONFIG):
        if path.is_file():
            destination = target / path.relative_to(temporary)
            destination.parent.mkdir(parents=True, exist_ok=True)
            partial = destination.with_name(f".{destination.name}.partial")
            shutil.copyfile(path, partial)
            partial.replace(destination)
