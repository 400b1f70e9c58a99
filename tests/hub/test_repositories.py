"""Artifacts in repositories of a hub: the hub's own client against a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub.local_hub import OWNER_TOKEN, LocalHub, running

from wotd import SemanticIDModel
from wotd.artifacts import CONFIG, listed_files
from wotd.errors import ArtifactError, InputError
from wotd.hub import open_artifacts, pull, push
from wotd.hub.addresses import HubAddress

pytest_plugins = ("artifact_fixtures",)

PLACE = "hf://user/fog"
UNUSED_PORT = "http://127.0.0.1:9"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub that the client in this process asks, as its owner, with an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN", OWNER_TOKEN)
    with running() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def refused(match: str, place: str = PLACE) -> None:
    with pytest.raises(ArtifactError, match=match) as caught:
        open_artifacts(place)
    assert "\n" not in str(caught.value)
    assert OWNER_TOKEN not in str(caught.value)


def change(hub: LocalHub, **files: str) -> None:
    """A commit that changes what the config lists."""
    config = json.loads(hub.files("user/fog")[CONFIG])
    config["files"] |= files
    hub.repositories["user/fog"].commit("main", {CONFIG: json.dumps(config).encode()}, "changed")


# --- addresses


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("hf://user/name", ("user/name", "", None)),
        ("hf://user/name@v2", ("user/name", "", "v2")),
        ("hf://user/name/deep/er@refs/pr/1", ("user/name", "deep/er/", "refs/pr/1")),
        ("hf://user/na.me-2/@main", ("user/na.me-2", "", "main")),
    ],
)
def test_addresses(address: str, parts: tuple[str, str, str | None]) -> None:
    place = HubAddress.parse(address)
    assert (place.repository, place.folder, place.revision) == parts


@pytest.mark.parametrize(
    "address", ["hf://user", "hf://", "hf:///a/b", "hf://a/b/../c", "hf://../b", "hf://a/b@", "hf://a/b@../c", "hf:::a"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ArtifactError, match=r"expected hf://user/name\[/folder\]\[@revision\]\.$"):
        HubAddress.parse(address)


# --- there and back


def test_there_and_back(hub: LocalHub, texts_sent: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    commit = push(texts_sent, PLACE, message="First")
    repo = hub.repositories["user/fog"]
    assert commit == f"{hub.url}/user/fog/commit/{repo.branches['main']}"
    assert repo.messages == ["initial commit", "First"], "one commit holds all of it"
    assert not repo.private
    assert "texts go along in codes.parquet" in caplog.text
    assert set(hub.files("user/fog")) - {".gitattributes"} == names(texts_sent)
    model = SemanticIDModel.load(PLACE)
    (encoded,) = model.encode(["the cold sea"])
    assert encoded == SemanticIDModel.load(texts_sent).encode(["the cold sea"])[0]
    pull(PLACE, tmp_path / "back")
    assert names(tmp_path / "back") == names(texts_sent)
    assert not any(path.is_symlink() for path in (tmp_path / "back").rglob("*"))


def test_only_what_the_config_lists_is_fetched_and_once(hub: LocalHub, vectors_sent: Path) -> None:
    push(vectors_sent, PLACE)
    hub.repositories["user/fog"].commit("main", {"optimizer.bin": b"0" * 99, "run.py": b"raise SystemExit"}, "more")
    first = open_artifacts(PLACE)
    assert names(first.folder) == {*first.config["files"], CONFIG}
    hub.asked.clear()
    assert open_artifacts(PLACE).folder == first.folder
    assert hub.asked == ["GET /api/models/user/fog/revision/main"]


def test_all_files_are_of_one_commit(
    hub: LocalHub, vectors_sent: Path, texts_sent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(vectors_sent, PLACE)

    def read_while_others_push(folder: Path) -> list[str]:
        push(texts_sent, PLACE)
        return listed_files(folder)

    monkeypatch.setattr("wotd.hub.repositories.listed_files", read_while_others_push)
    assert open_artifacts(PLACE).config == open_artifacts(vectors_sent).config


def test_revisions_branches_and_folders(hub: LocalHub, vectors_sent: Path, texts_sent: Path) -> None:
    push(vectors_sent, PLACE)
    commit = hub.repositories["user/fog"].branches["main"]
    push(texts_sent, f"{PLACE}/small", revision="v2")
    push(texts_sent, f"{PLACE}/small@other/branch")
    assert open_artifacts(f"{PLACE}@{commit}").config == open_artifacts(PLACE).config
    for revision in ("v2", "other/branch"):
        small = open_artifacts(f"{PLACE}/small@{revision}")
        assert small.folder.name == "small"
        assert small.config == open_artifacts(texts_sent).config
    refused(r"^hf://user/fog/small holds no artifacts: there is no small/config\.json\.$", f"{PLACE}/small")
    with pytest.raises(InputError, match=r"^revision is v3, but the address names v2 too"):
        push(vectors_sent, f"{PLACE}@v2", revision="v3")


def test_names_with_signs_of_patterns(hub: LocalHub, vectors_sent: Path, tmp_path: Path) -> None:
    odd = shutil.copytree(vectors_sent, tmp_path / "odd")
    (odd / "plots").mkdir(exist_ok=True)
    (odd / "plots" / "a[1]*.png").write_bytes(b"x")
    config = json.loads((odd / CONFIG).read_text())
    config["files"]["plots/a[1]*.png"] = hashlib.sha256(b"x").hexdigest()
    (odd / CONFIG).write_text(json.dumps(config))
    push(odd, PLACE)
    assert (open_artifacts(PLACE).folder / "plots" / "a[1]*.png").read_bytes() == b"x"


# --- texts


def test_texts_can_be_left_out(hub: LocalHub, text_artifacts: Path, tmp_path: Path) -> None:
    push(text_artifacts, PLACE, texts=False)
    folder = pull(PLACE, tmp_path / "bare").folder
    whole = pq.read_table(text_artifacts / "codes.parquet")
    assert pq.read_table(folder / "codes.parquet").equals(whole.drop_columns(["text"]))
    beginning = " ".join(whole["text"][0].as_py().split()[:5])
    said = [
        path.name for path in text_artifacts.iterdir() if path.is_file() and beginning.encode() in path.read_bytes()
    ]
    assert "report.html" in said, "there is something to leave out"
    everywhere = {" ".join(passage.split()[:6]) for passage in whole["text"].to_pylist()}
    for path in folder.rglob("*"):
        if path.suffix in (".html", ".md", ".json", ".yaml"):
            assert not [text for text in everywhere if text in path.read_text()], path
    assert (folder / "README.md").is_file()
    assert (folder / "report.html").is_file()
    text = "the cold sea and the river"
    assert SemanticIDModel.load(PLACE).encode([text]) == SemanticIDModel.load(text_artifacts).encode([text])


# --- refusals


def test_what_is_not_there(hub: LocalHub, vectors_sent: Path) -> None:
    refused(r"^hf://user/fog cannot be fetched: there is no such repository, or it is private and HF_TOKEN gives no")
    push(vectors_sent, PLACE)
    refused(r"^hf://user/fog@v9 cannot be fetched: it has no such revision\.$", f"{PLACE}@v9")
    refused(r"cannot be fetched: it has no such revision\.$", f"{PLACE}@{'0' * 40}")
    hub.repositories["user/bert"] = repo = type(hub.repositories["user/fog"])()
    repo.commit("main", {"model.safetensors": b"x"}, "m")
    refused(r"^hf://user/bert holds no artifacts: there is no config\.json\.$", "hf://user/bert")
    repo.commit("main", {CONFIG: b'{"architectures": []}'}, "m")
    refused(r"^hf://user/bert/config\.json has the schema None", "hf://user/bert")


def test_no_access(hub: LocalHub, vectors_sent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(vectors_sent, PLACE, private=True)
    assert hub.repositories["user/fog"].private
    monkeypatch.setenv("HF_TOKEN", "hf_SomebodyElsesToken")
    refused("there is no such repository, or it is private and HF_TOKEN gives no access to it")
    hub.repositories["user/fog"].private, hub.repositories["user/fog"].gated = False, True
    refused("its owner has not given you access")
    with pytest.raises(ArtifactError, match=r"^hf://user/other cannot be written to: HF_TOKEN gives no access \(403\)"):
        push(vectors_sent, "hf://user/other")


def test_what_shall_be_private_does_not_go_where_all_can_see_it(hub: LocalHub, vectors_sent: Path) -> None:
    push(vectors_sent, PLACE)
    commits = len(hub.repositories["user/fog"].commits)
    with pytest.raises(ArtifactError, match="it is there already and public, but was to be private"):
        push(vectors_sent, PLACE, private=True)
    assert len(hub.repositories["user/fog"].commits) == commits


def test_offline(hub: LocalHub, vectors_sent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(vectors_sent, PLACE)
    folder = open_artifacts(PLACE).folder
    (folder / "codes.parquet").rename(folder / "elsewhere")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.asked.clear()
    refused(r"^hf://user/fog cannot be fetched: .*, and HF_HUB_OFFLINE forbids to ask the hub\.$")
    (folder / "elsewhere").rename(folder / "codes.parquet")
    assert open_artifacts(PLACE).folder == folder
    refused("cannot be fetched: it is not in the hub's cache, and HF_HUB_OFFLINE forbids", "hf://user/other")
    with pytest.raises(ArtifactError, match="cannot be written to: HF_HUB_OFFLINE forbids"):
        push(vectors_sent, PLACE)
    assert not hub.asked


def test_a_hub_that_cannot_be_reached(hub: LocalHub, vectors_sent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(vectors_sent, PLACE)
    folder = open_artifacts(PLACE).folder
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", UNUSED_PORT)
    assert open_artifacts(PLACE).folder == folder, "the cache serves"
    refused(r"it is not in the hub's cache, and the hub cannot be asked: .*[Rr]efused", "hf://user/other")


def test_what_was_tampered_with_is_refused(hub: LocalHub, vectors_sent: Path, tmp_path: Path) -> None:
    push(vectors_sent, PLACE)
    data = hub.files("user/fog")["encoder.safetensors"]
    hub.repositories["user/fog"].commit("main", {"encoder.safetensors": data[:-1] + b"\xff"}, "tampered")
    refused(r"^hf://user/fog/encoder\.safetensors is not as it was written \(its checksum differs\)")
    with pytest.raises(ArtifactError):
        pull(PLACE, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "plots/../../secret"])
def test_names_that_lead_outside_are_refused(name: str, hub: LocalHub, vectors_sent: Path) -> None:
    push(vectors_sent, PLACE)
    change(hub, **{name: "0" * 64})
    hub.asked.clear()
    refused(r"^hf://user/fog/config\.json lists the file .* which lies outside the folder\.$")
    assert not [each for each in hub.asked if "/resolve/" in each and not each.endswith(CONFIG)]


def test_absurd_sizes_are_refused(hub: LocalHub, vectors_sent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(vectors_sent, PLACE)
    monkeypatch.setenv("WOTD_MAX_FETCH_BYTES", "100")
    refused(r"^hf://user/fog has \d+ bytes; at most 100 are fetched, unless WOTD_MAX_FETCH_BYTES says more\.$")
    monkeypatch.setenv("WOTD_MAX_FETCH_BYTES", "a lot")
    with pytest.raises(Exception, match="WOTD_MAX_FETCH_BYTES is 'a lot'; expected a number of bytes"):
        open_artifacts(PLACE)


# --- the shell, as a process of its own


def command(hub: LocalHub, folder: Path, *arguments: object, **changes: str) -> tuple[list[str], dict[str, str]]:
    """What to start and its environment."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "home"),
        "HF_TOKEN": OWNER_TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        **changes,
    }
    return [sys.executable, "-m", "wotd.cli", *map(str, arguments)], environment


def typed(hub: LocalHub, folder: Path, *arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    program, environment = command(hub, folder, *arguments, **changes)
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120)


def test_the_shell(texts_sent: Path, tmp_path: Path) -> None:
    with running() as hub:
        pushed = typed(hub, tmp_path, "push", "--artifacts", texts_sent, PLACE, "--private", "--revision", "v2")
        assert (pushed.returncode, pushed.stdout.startswith(f"{hub.url}/user/fog/commit/")) == (0, True), pushed
        assert pushed.stderr.startswith("wotd: the passages' texts go along in codes.parquet")
        assert pushed.stderr.count("\n") == 1, "no bars where nobody watches"
        assert OWNER_TOKEN not in pushed.stderr
        pulled = typed(hub, tmp_path, "pull", f"{PLACE}@v2", "--output", tmp_path / "back")
        assert (pulled.returncode, pulled.stdout, pulled.stderr) == (0, "", "")
        assert names(tmp_path / "back") == names(texts_sent)
        described = typed(hub, tmp_path, "describe", "--artifacts", f"{PLACE}@v2", "0")
        assert json.loads(described.stdout)["levels"][0]["code"] == 0, described
        stranger = typed(hub, tmp_path / "other", "describe", "--artifacts", f"{PLACE}@v2", "0", HF_TOKEN="hf_Stranger")
        assert stranger.returncode == 1
        assert stranger.stderr.startswith("wotd: hf://user/fog@v2 cannot be fetched: there is no such repository")
        assert stranger.stderr.count("\n") == 1
    offline = typed(hub, tmp_path, "describe", "--artifacts", f"{PLACE}@v2", "0", HF_HUB_OFFLINE="1")
    assert offline.stdout == described.stdout


def test_a_pull_that_is_killed_leaves_nothing_half_written(vectors_sent: Path, tmp_path: Path) -> None:
    with running() as hub:
        assert typed(hub, tmp_path, "push", "--artifacts", vectors_sent, PLACE).returncode == 0
        hub.stalled = "codes.parquet"
        program, environment = command(hub, tmp_path, "pull", PLACE, "--output", tmp_path / "back")
        with subprocess.Popen(program, env=environment) as killed:
            assert hub.stalling.wait(60)
            killed.kill()
        hub.release.set()
        assert not (tmp_path / "back").exists()
        hub.stalled = None
        pulled = typed(hub, tmp_path, "pull", PLACE, "--output", tmp_path / "back")
        assert (pulled.returncode, pulled.stderr) == (0, "")
    assert open_artifacts(tmp_path / "back").config == open_artifacts(vectors_sent).config
