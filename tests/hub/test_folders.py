"""Folders on this machine and in stores: files there are whole, or not there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from wotd.errors import InputError
from wotd.hub.folders import LocalFolder, StoreFolder, find_file, open_folder
from wotd.replacing import folder_beside

pytest_plugins = ["bucket_server"]


@pytest.fixture(params=["path", "file://", "local://", "memory://"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address; a store called local, on this machine, shows a file while it is written, as many do."""
    return str(tmp_path / "in") if request.param == "path" else f"{request.param}{tmp_path}/in"


def test_what_is_written_is_there_when_it_is_whole(place: str) -> None:
    folder = open_folder(place, "--output")
    assert not folder.exists("a/b.txt")
    with folder.writing("a/b.txt") as path:
        path.write_text("one")
        assert not folder.exists("a/b.txt")
    assert folder.is_file("a/b.txt")
    first = folder.version("a/b.txt")
    with folder.writing("a/b.txt") as path:
        path.write_text("other")
        with folder.open("a/b.txt") as stream:
            assert stream.read() == b"one"
    with folder.open("a/b.txt") as stream:
        assert stream.readline(3) == b"oth"
        stream.seek(4)
        assert stream.read() == b"r"
    assert folder.version("a/b.txt") != first
    assert folder.files() == ["a/b.txt"]


def test_what_fails_leaves_nothing(place: str) -> None:
    folder = open_folder(place, "--output")
    with folder.writing("a.txt") as path:
        path.write_text("one")

    def fail() -> None:
        with folder.writing("b.txt") as path:
            path.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert folder.files() == ["a.txt"]


def test_a_store_that_fails_midway_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.local import LocalFileSystem

    folder = StoreFolder(f"local://{tmp_path}/in", "--output")
    with folder.writing("a.txt") as path:
        path.write_text("one")

    def full(*_: object, **__: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(LocalFileSystem, "mv", full)
    with pytest.raises(InputError, match=r"/in/b\.txt cannot be written: no space\."), folder.writing("b.txt") as path:
        path.write_text("two")
    assert folder.files() == ["a.txt"]


def test_a_file_is_found_in_its_folder(place: str) -> None:
    folder = open_folder(place, "--input")
    with folder.writing("a.txt") as path:
        path.write_text("one")
    for address, name in ((place, None), (f"{place}/a.txt", "a.txt")):
        found, file = find_file(address, "--input")
        assert (type(found), found.files(), file) == (type(folder), ["a.txt"], name)


def test_places_that_are_not_there() -> None:
    for place in ("/nowhere", "memory://nowhere"):
        with pytest.raises(InputError, match=r"^--input is \S*nowhere, which does not exist"):
            open_folder(place, "--input").files()
    with pytest.raises(InputError, match="--input is unknown://place, which cannot be read"):
        open_folder("unknown://place", "--input").files()
    assert isinstance(open_folder("a/b", "--input"), LocalFolder)


OUTWARD = ["/etc/evil.npy", "a//b.npy", "../up.npy", "a/../../up.npy", "a/./b.npy", "a\\..\\b.npy", "a\0.npy", "a/"]


@pytest.mark.parametrize("name", OUTWARD)
def test_names_that_lead_out_are_refused_by_every_verb(place: str, name: str, tmp_path: Path) -> None:
    folder = open_folder(place, "--output")
    for verb in (folder.exists, folder.is_file, folder.open, folder.version, folder.stamp, folder.writing):
        with pytest.raises(InputError, match=r"in has the name .*; expected a plain path within the folder\."):
            getattr(verb(name), "__enter__", lambda: None)()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("store", ["memory", "s3"])
def test_keys_of_a_store_that_lead_out_are_left_out(
    store: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """As anyone may make them who can write to a bucket; two of them are what consoles make of a new folder."""
    place = request.getfixturevalue("bucket") if store == "s3" else "memory://keys"
    for key in ("ok.npy", "sub/", "sub/ok.npy", "", *OUTWARD[:1], *OUTWARD[3:4], *OUTWARD[5:6]):
        put(f"{place}/t", key)
    assert open_folder(f"{place}/t", "--input").files() == ["ok.npy", "sub/ok.npy"]
    assert "t: 3 files are left out, whose names are no plain paths" in caplog.text


def put(place: str, key: str) -> None:
    """By the means of the store itself, as paths of fsspec may be made plain on their way."""
    if place.startswith("memory"):
        from fsspec.implementations.memory import MemoryFile

        files, root = fsspec.url_to_fs(place)
        if key and not key.endswith("/"):
            files.store[f"{root}/{key}"] = MemoryFile(files, f"{root}/{key}", b"x")
        return
    import botocore.session

    bucket, _, root = place.removeprefix("s3://").partition("/")
    botocore.session.get_session().create_client("s3").put_object(Bucket=bucket, Key=f"{root}/{key}", Body=b"")


def test_links_to_outside_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("in/sub/a.txt", "outside/secret.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "in" / "file.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "again.txt").symlink_to("sub/a.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "in")
    for root in ("in", "linked"):  # the folder itself may be a link
        assert open_folder(tmp_path / root, "--input").files() == ["again.txt", "sub/a.txt"]
    assert "in: 1 files are left out, whose names are no plain paths or which are links to outside of it" in caplog.text


KILLED = """
import os, signal, sys
from wotd.hub.folders import open_folder
with open_folder(sys.argv[1], "--output").writing("killed.txt") as path:
    path.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_folder_is_listed_once_however_many_files_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = []
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: (listed.append(path), listing(path))[1])
    for number in range(20):
        with LocalFolder(str(tmp_path / "out"), "--output").writing(f"{number}.txt") as path:
            path.write_text("x")
    assert listed == [tmp_path / "out"]


def test_what_a_killed_writer_has_left_goes_with_the_next_file_of_another_process(tmp_path: Path) -> None:
    """Whichever it is; not what others are writing, and not what is locked in another way, as artifacts are."""
    out = tmp_path / "out"
    assert subprocess.run([sys.executable, "-c", KILLED, out], check=False).returncode == -signal.SIGKILL
    (left,) = out.iterdir()
    assert (left / "new").read_text() == "half"
    artifacts = folder_beside(out / "artifacts")
    writer = "import sys; from pathlib import Path; from wotd.replacing import replacing\n"
    writer += "with replacing(Path(sys.argv[1])) as path: path.write_text('at work'); print(path, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", writer, out / "slow.txt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        at_work = Path(process.stdout.readline().rstrip("\n"))
        assert not left.exists()
        with LocalFolder(str(out), "--output").writing("other.txt") as path:
            path.write_text("whole")
        assert at_work.read_text() == "at work"
        process.communicate("\n")
    assert sorted(out.iterdir()) == sorted([artifacts, out / "other.txt", out / "slow.txt"])


@pytest.fixture
def temporaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of this process go, and of those that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def written_to(place: str, name: str) -> None:
    with open_folder(place, "--output").writing(name) as path:
        path.write_text("whole")


@pytest.mark.parametrize("store", ["local", "s3"])
def test_what_a_writer_to_a_store_has_left_on_this_machine_goes_with_the_next_file_of_another_process(
    store: str, request: pytest.FixtureRequest, temporaries: Path, tmp_path: Path
) -> None:
    place = request.getfixturevalue("bucket") if store == "s3" else f"local://{tmp_path}/store"
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", KILLED, place], check=False).returncode == -signal.SIGKILL
        (left,) = temporaries.rglob("whole")  # of the last one alone: it has removed what the first had left
        assert left.read_text() == "half"
    written_to(place, "other.txt")
    (home,) = temporaries.iterdir()
    assert list(home.iterdir()) == []
    assert home.stat().st_mode & 0o777 == 0o700
    assert open_folder(place, "--output").files() == ["other.txt"]


@pytest.mark.parametrize("made", ["open to all", "a link", "a file"])
def test_a_place_for_temporary_files_that_others_could_have_made_is_not_used(
    temporaries: Path, tmp_path: Path, made: str
) -> None:
    written_to(f"memory://{tmp_path}", "a.txt")
    (home,) = temporaries.iterdir()
    home.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    if made == "a link":
        home.symlink_to(elsewhere)
    elif made == "a file":
        home.touch()
    else:
        home.mkdir()
        home.chmod(0o777)
    with open_folder(f"memory://{tmp_path}", "--output").writing("b.txt") as path:
        path.write_text("whole")
        assert path.parent.parent == temporaries
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(temporaries.iterdir()) == [home]
    assert open_folder(f"memory://{tmp_path}", "--output").files() == ["a.txt", "b.txt"]
