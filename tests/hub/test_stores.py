"""Artifacts in stores: what is fetched, when, how much of it, and what is refused."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest

from wotd import SemanticIDModel
from wotd.artifacts import CONFIG
from wotd.errors import ArtifactError, InputError
from wotd.hub import open_artifacts, pull, push
from wotd.provenance import file_sha256

PLACE = "memory://models/fog"


@pytest.fixture(autouse=True)
def memory(cache: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """An empty memory."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()


def content(folder: Path) -> dict[str, str]:
    """Checksums of all files below a folder."""
    return {p.relative_to(folder).as_posix(): file_sha256(p) for p in folder.rglob("*") if p.is_file()}


def kept(cache: Path) -> list[Path]:
    """What the cache holds of artifacts, with what writing left over."""
    return sorted(path for path in cache.glob("artifacts/*/*") if path.name != ".lock")


def change(store: fsspec.AbstractFileSystem, **files: str | None) -> None:
    """Change what the config of the stored artifacts lists."""
    config = json.loads(store.cat(f"{PLACE}/{CONFIG}"))
    config["files"] |= files
    store.pipe(f"{PLACE}/{CONFIG}", json.dumps(config).encode())


def refused(match: str) -> None:
    with pytest.raises(ArtifactError, match=match) as caught:
        open_artifacts(PLACE)
    assert "\n" not in str(caught.value)


# --- there and back


def test_there_and_back(vectors_sent: Path, tmp_path: Path) -> None:
    assert push(vectors_sent, PLACE) == PLACE
    pull(PLACE, tmp_path / "back")
    assert content(tmp_path / "back") == content(vectors_sent)
    model = SemanticIDModel.load(PLACE)
    vectors = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    np.testing.assert_array_equal(
        model.encode_vectors(vectors), SemanticIDModel.load(vectors_sent).encode_vectors(vectors)
    )


def test_a_folder_and_its_url_are_the_same(vectors_sent: Path, tmp_path: Path, cache: Path) -> None:
    (target := tmp_path / "a folder").mkdir()
    assert push(vectors_sent, (target / "A").as_uri()) == (target / "A").as_uri()
    assert open_artifacts((target / "A").as_uri()).folder == open_artifacts(target / "A").folder == target / "A"
    assert content(target / "A") == content(vectors_sent)
    assert not kept(cache), "what lies on this machine is not copied"
    (target / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="holds other things than artifacts"):
        push(vectors_sent, target.as_uri())


def test_artifacts_go_from_one_address_to_another(vectors_sent: Path, tmp_path: Path) -> None:
    push(vectors_sent, PLACE)
    push(PLACE, "memory://elsewhere/fog")
    assert open_artifacts("memory://elsewhere/fog").config == open_artifacts(vectors_sent).config


def test_config_goes_first_and_comes_last(
    vectors_sent: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(vectors_sent, PLACE)
    seen = []
    put, remove = type(memory).put_file, type(memory).rm_file
    monkeypatch.setattr(type(memory), "put_file", lambda s, a, b, **k: (seen.append(Path(b).name), put(s, a, b, **k)))
    monkeypatch.setattr(type(memory), "rm_file", lambda s, p: (seen.append(f"-{Path(p).name}"), remove(s, p)))
    push(vectors_sent, PLACE)
    assert (seen[0], seen[-1]) == (f"-{CONFIG}", CONFIG)
    assert seen.count(CONFIG) == 1


# --- the cache


def test_what_has_not_changed_is_not_fetched_again(
    vectors_sent: Path, memory: fsspec.AbstractFileSystem, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(vectors_sent, PLACE)
    first = open_artifacts(PLACE).folder
    opened = []
    whole = type(memory).open
    monkeypatch.setattr(
        type(memory), "open", lambda s, path, *a, **k: (opened.append(path), whole(s, path, *a, **k))[1]
    )
    assert open_artifacts(PLACE).folder == first
    assert [Path(path).name for path in opened] == [CONFIG]
    opened.clear()
    memory.pipe(f"{PLACE}/README.md", b"# another card\n")
    (changed := cache.parent / "README.md").write_bytes(b"# another card\n")
    change(memory, **{"README.md": file_sha256(changed)})
    second = open_artifacts(PLACE)
    assert second.folder != first
    assert (second.folder / "README.md").read_text() == "# another card\n"
    assert len(kept(cache)) == 2, "who still uses the first has it still"


def test_who_comes_at_the_same_time_waits(
    vectors_sent: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(vectors_sent, PLACE)
    opened = []
    whole = type(memory).open

    def slow(store: fsspec.AbstractFileSystem, path: str, *arguments: object, **options: object) -> object:
        opened.append(Path(path).name)
        if path.endswith("codes.parquet"):
            time.sleep(0.5)
        return whole(store, path, *arguments, **options)

    monkeypatch.setattr(type(memory), "open", slow)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(open_artifacts, [PLACE] * 3))
    assert len({artifacts.folder for artifacts in found}) == 1
    assert opened.count(CONFIG) == 3
    assert opened.count("codes.parquet") == opened.count("encoder.safetensors") == 1


def test_what_a_killed_process_left_is_cleared(vectors_sent: Path, cache: Path) -> None:
    push(vectors_sent, PLACE)
    folder = open_artifacts(PLACE).folder
    shutil.rmtree(folder)
    (folder.parent / f".{folder.name}-abc").mkdir()
    assert kept(cache) == [folder.parent / f".{folder.name}-abc"]
    assert open_artifacts(PLACE).folder == folder
    assert kept(cache) == [folder]


# --- refusals


def test_nothing_there() -> None:
    refused(r"^memory://models/fog holds no artifacts: there is no config\.json\.$")


def test_what_was_tampered_with_is_refused_and_not_kept(
    vectors_sent: Path, memory: fsspec.AbstractFileSystem, cache: Path, tmp_path: Path
) -> None:
    push(vectors_sent, PLACE)
    data = bytearray(memory.cat(f"{PLACE}/encoder.safetensors"))
    data[-1] ^= 1
    memory.pipe(f"{PLACE}/encoder.safetensors", bytes(data))
    refused(r"^memory://models/fog/encoder\.safetensors is not as it was written \(its checksum differs\)")
    with pytest.raises(ArtifactError):
        pull(PLACE, tmp_path / "back")
    assert not kept(cache)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "plots/../../secret", "..\\secret", "C:secret"])
def test_names_that_lead_outside_are_refused(
    name: str, vectors_sent: Path, memory: fsspec.AbstractFileSystem, cache: Path
) -> None:
    push(vectors_sent, PLACE)
    memory.pipe("memory://models/secret", b"a")
    change(memory, **{name: "0" * 64})
    refused(r"^memory://models/fog/config\.json lists the file .* which lies outside the folder\.$")
    assert not kept(cache)


@pytest.mark.parametrize("name", ["config.json", "", "plots//a.png", "./a", "a\nb"])
def test_odd_names_are_refused(name: str, vectors_sent: Path, memory: fsspec.AbstractFileSystem) -> None:
    push(vectors_sent, PLACE)
    change(memory, **{name: "0" * 64})
    refused("which cannot be read as a name")


def test_a_missing_file_is_named(vectors_sent: Path, memory: fsspec.AbstractFileSystem, cache: Path) -> None:
    push(vectors_sent, PLACE)
    memory.rm(f"{PLACE}/codes.parquet")
    refused(r"^memory://models/fog/codes\.parquet is missing; the artifacts are incomplete\.$")
    assert not kept(cache)


def test_absurd_sizes_are_refused(
    vectors_sent: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(vectors_sent, PLACE)
    monkeypatch.setenv("WOTD_MAX_FETCH_BYTES", "100")
    refused(r"has \d+ bytes; at most 100 are fetched, unless WOTD_MAX_FETCH_BYTES says more\.$")
    monkeypatch.delenv("WOTD_MAX_FETCH_BYTES")
    monkeypatch.setattr("wotd.hub.bounds._MAX_FILES", 2)
    refused(r"lists \d files; at most 2 are fetched\.$")
    monkeypatch.setattr("wotd.hub.stores.MAX_CONFIG_BYTES", 10)
    refused(r"config\.json has \d+ bytes; at most 10 are read\.$")


def test_more_than_was_said_is_cut_off(
    vectors_sent: Path, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(vectors_sent, PLACE)
    whole = type(memory).info
    monkeypatch.setattr(
        type(memory),
        "info",
        lambda s, p, **k: {**whole(s, p, **k), "size": 3} if p.endswith("parquet") else whole(s, p),
    )
    refused(r"fog/codes\.parquet goes on after 3 bytes, more than it was said to have\.$")


def test_a_config_of_something_else_is_neither_read_nor_replaced(
    vectors_sent: Path, memory: fsspec.AbstractFileSystem
) -> None:
    memory.pipe(f"{PLACE}/{CONFIG}", b'{"architectures": ["BertModel"]}')
    refused(r"^memory://models/fog/config\.json has the schema None")
    with pytest.raises(ArtifactError, match=r"^memory://models/fog holds other things than artifacts"):
        push(vectors_sent, PLACE)
    assert b"Bert" in memory.cat(f"{PLACE}/{CONFIG}")


def test_damaged_artifacts_are_not_sent(vectors_sent: Path, tmp_path: Path, memory: fsspec.AbstractFileSystem) -> None:
    damaged = shutil.copytree(vectors_sent, tmp_path / "damaged")
    (damaged / "codes.parquet").write_bytes(b"")
    with pytest.raises(ArtifactError, match="is not as it was written"):
        push(damaged, PLACE)
    assert not memory.exists(f"{PLACE}/{CONFIG}")


def test_a_package_that_is_missing_is_named(vectors_sent: Path) -> None:
    with pytest.raises(ArtifactError, match=r"^gs://b/a needs a package that is not installed: .*gcsfs"):
        push(vectors_sent, "gs://b/a")


def test_schemes_that_nobody_knows(vectors_sent: Path) -> None:
    with pytest.raises(ArtifactError, match=r"^artifacts is gopher://b/a, which cannot be read: Protocol not known"):
        open_artifacts("gopher://b/a")
    with pytest.raises(InputError, match=r"^the address is elsewhere; expected hf://user/name"):
        push(vectors_sent, "elsewhere")


def test_options_of_the_hub_are_for_the_hub(vectors_sent: Path) -> None:
    with pytest.raises(InputError, match="are for hf:// addresses"):
        push(vectors_sent, PLACE, private=True)
