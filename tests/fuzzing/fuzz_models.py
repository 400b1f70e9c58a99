"""Targets: artifacts, checkpoints and the cache of embeddings."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_hostile_files import checkpoints, configs, parquets, tensors
from fuzz_hostile_texts import json_values
from fuzz_target import Target, placed, within
from made_artifacts import make_text_artifacts, started

from wotd import artifacts as layout
from wotd.checkpoints import load_checkpoint
from wotd.embeddings import shard_file
from wotd.embeddings.fingerprint import Fingerprint
from wotd.embeddings.key_table import KeyTable, read_table
from wotd.embeddings.lsa import LSAEmbedder
from wotd.provenance import file_sha256

_DIMENSION = 6
_CORPUS = ["sea ship", "house door", "wind cold", "letter read"] * 4


def targets() -> list[Target]:
    """All of them; what they begin from is made in the folder ``FUZZ_MADE``."""
    place = Path(os.environ["FUZZ_MADE"])
    embedder = LSAEmbedder(dimension=_DIMENSION, min_documents=1)
    embedder.fit(_CORPUS)
    return [*_artifacts(make_text_artifacts(place / "artifacts", embedder)), *_others(place, embedder.fingerprint)]


def _artifacts(made: Path) -> list[Target]:
    content = {path.name: path.read_bytes() for path in sorted(made.iterdir())}
    config = json.loads(content[layout.CONFIG])

    def target(name: str, kind: str, hostile: Sequence[bytes]) -> Target:
        seeds, cases = within(name, [content[name]]), within(name, hostile)
        run = partial(_opened, content, config, name)
        return Target(f"artifacts, {name}", kind, run, seeds, cases, prepare=partial(_copied, made))

    return [
        target(layout.CONFIG, "json", [*configs(config), *json_values()]),
        target(layout.WEIGHTS, "safetensors", tensors()),
        target(layout.SEMANTIC_IDS, "json", json_values()),
        target(layout.CODES, "parquet", parquets()),
    ]


def _copied(made: Path, folder: Path) -> None:
    shutil.copytree(made, folder / "a")


def _opened(content: dict[str, bytes], config: dict[str, Any], name: str, case: bytes, folder: Path) -> None:
    """Read artifacts one of whose files is the case; its checksum is as it is, so that its content is looked at."""
    place = folder / "a"
    placed(case if case.startswith(name.encode() + b"\n") else name.encode() + b"\n" + case, place, (name,))
    if name != layout.CONFIG:
        files = config["files"] | {name: file_sha256(place / name)}
        (place / layout.CONFIG).write_text(json.dumps(config | {"files": files}), encoding="utf-8")
    try:
        artifacts = layout.Artifacts.open(place)
        artifacts.encoder()
        artifacts.semantic_ids()
        artifacts.codes()
        _ = artifacts.named, artifacts.fingerprint, artifacts.features_fingerprint, artifacts.row_dim
    finally:
        for each in (name, layout.CONFIG):
            (place / each).write_bytes(content[each])


def _others(place: Path, fingerprint: Fingerprint) -> list[Target]:
    shard, table = _cached(place, fingerprint.digest)
    sound = _checkpoint(place)
    damaged = (shard_file.DamagedShardError,)
    told = json.dumps(fingerprint.to_mapping()).encode()
    return [
        Target("checkpoint", "stored_zip", _loaded, [sound], checkpoints(sound)),
        Target("cache, shard", "safetensors", partial(_shard, fingerprint.digest), [shard], tensors(), damaged),
        Target("cache, table", "safetensors", partial(_table, fingerprint.digest), [table], tensors(), damaged),
        Target("fingerprint", "json", partial(_fingerprint, fingerprint), [told], json_values()),
    ]


def _cached(place: Path, digest: str) -> tuple[bytes, bytes]:
    folder = place / "cache"
    folder.mkdir()
    keys = np.frombuffer(bytes(range(96)), "S32")
    name = shard_file.write_shard(folder, keys, np.ones((3, _DIMENSION), np.float32), digest)
    table = KeyTable.of_shards([name], [keys]).write(folder, digest)
    return (folder / name).read_bytes(), table.read_bytes()


def _checkpoint(place: Path) -> bytes:
    encoder = started(np.random.default_rng(0).normal(size=(60, _DIMENSION)).astype(np.float32), (4, 3))
    state = {f"model.{name}": value for name, value in encoder.state_dict().items()}
    own = {"encoder": encoder.config, "embedding": None}
    torch.save({"state_dict": state, "wotd": own, "loops": {}}, place / "last.ckpt")
    return (place / "last.ckpt").read_bytes()


def _loaded(case: bytes, folder: Path) -> None:
    (folder / "last.ckpt").write_bytes(case)
    load_checkpoint(folder / "last.ckpt")


def _shard(digest: str, case: bytes, folder: Path) -> None:
    path = folder / shard_file.named_by_content("shard", case)
    path.write_bytes(case)
    try:
        shard_file.shard_rows(path)
        shard_file.verify_content(path)
        shard = shard_file.open_shard(path, digest, _DIMENSION)
        _ = shard.keys[-1], shard.vectors.sum()
    finally:
        path.unlink()


def _table(digest: str, case: bytes, folder: Path) -> None:
    path = folder / shard_file.named_by_content("index", case)
    path.write_bytes(case)
    try:
        table = read_table(path, digest)
        _ = table.prefixes_R.sum(), table.shards_R.sum(), table.rows_R.sum()
    finally:
        path.unlink()


def _fingerprint(ours: Fingerprint, case: bytes, _: Path) -> None:
    try:
        data = json.loads(case)
    except (ValueError, RecursionError):
        return  # of no interest here: who reads the file has refused it
    read = Fingerprint.from_mapping(data)
    _ = read.digest, read.differences(ours), read.arithmetic
    if Fingerprint.from_mapping(read.to_mapping()) != read:
        raise ValueError("it does not read back as it was")
