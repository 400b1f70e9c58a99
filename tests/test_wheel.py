"""The wheel carries all the package needs, and works where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import wotd

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path, **changed: str) -> str:
    """What a command prints; if it fails, its errors are in the failure."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | changed
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout; built with the installed hatchling, so no network is needed."""
    pytest.importorskip("hatchling", reason="hatchling is not installed; `make setup` brings it")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel, and with our dependencies but not our checkout.

    A line in a .pth file lends it this environment's packages. Such a line does not run the .pth
    files that lie there, so an editable install of the checkout stays out of sight.
    """
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    scheme = {"base": str(home), "platbase": str(home)}
    packages = Path(sysconfig.get_path("purelib", "venv", scheme))
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "lent.pth").write_text("\n".join(sorted(lent)), encoding="utf-8")
    scripts = Path(sysconfig.get_path("scripts", "venv", scheme))
    pip = (sys.executable, "-m", "pip", "--python", scripts / "python", "--no-input")
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=home)
    return scripts


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder that has nothing to do with the checkout."""
    return tmp_path


def built(source: Path, folder: Path, *options: str, **environment: str) -> Path:
    """The folder with the wheel and the source archive of a checkout, or with one of them."""
    run(sys.executable, "-m", "hatchling", "build", *options, "-d", folder, cwd=source, **environment)
    return folder


def copied_source(folder: Path) -> Path:
    """What the package is built from, without what git ignores."""
    if not (ROOT / ".git").exists():
        pytest.skip("only a clone tells what belongs to it")
    folder.mkdir()
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def names(wheel: Path) -> set[str]:
    """Paths in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_below(folder: str) -> set[str]:
    """Our files in a folder of the checkout, from the root."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_carries_every_file_of_the_package(wheel: Path) -> None:
    assert "wotd/py.typed" in names(wheel)
    assert files_below("wotd") <= names(wheel)


def test_the_wheel_carries_every_config_inside_the_package(wheel: Path) -> None:
    inside = {name for name in names(wheel) if name.startswith("wotd/conf/")}
    assert inside == {f"wotd/{path}" for path in files_below("conf")}
    assert "wotd/conf/taxonomy/literature.yaml" in inside


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    others = {name for name in names(wheel) if not name.startswith("wotd/")}
    assert all(name.startswith(f"wotd-{wotd.__version__}.dist-info/") for name in others), sorted(others)
    assert sum(path.file_size for path in zipfile.ZipFile(wheel).infolist()) < 5_000_000


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"wotd-{wotd.__version__}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        scripts = archive.read(f"{info}/entry_points.txt").decode()
    assert metadata["Version"] == wotd.__version__
    assert metadata["License-Expression"] == "MIT"
    assert "wotd = wotd.cli:main" in scripts
    assert "wotd-train = wotd.train:main" in scripts


def test_whoever_builds_gets_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    """Built from a copy of other dates and modes, in another folder, locale, time zone and order of hashes."""
    copy = copied_source(tmp_path / "elsewhere")
    for path in copy.rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    here = built(ROOT, tmp_path / "here", "-t", "sdist")
    there = built(copy, tmp_path / "there", LC_ALL="tr_TR.UTF-8", TZ="Asia/Kathmandu", PYTHONHASHSEED="7")
    assert (there / wheel.name).read_bytes() == wheel.read_bytes()
    (first,), (second,) = here.glob("*.tar.gz"), there.glob("*.tar.gz")
    assert first.read_bytes() == second.read_bytes()


def test_the_installed_package_is_the_wheels(installed: Path, empty: Path) -> None:
    where = run(installed / "python", "-c", "import wotd; print(wotd.__file__)", cwd=empty).strip()
    assert Path(where).is_relative_to(installed.parent)


@pytest.mark.parametrize("command", [["python", "-m", "wotd.train"], ["wotd-train"]], ids=["module", "script"])
def test_the_recipe_composes_in_an_empty_folder(installed: Path, empty: Path, command: list[str]) -> None:
    printed = run(installed / command[0], *command[1:], "--cfg", "job", "+experiment=minilm", cwd=empty)
    assert "seed:" in printed
    assert "???" not in printed
    assert list(empty.iterdir()) == [], "printing a config leaves files behind"


def test_the_shell_tool_knows_its_version(installed: Path, empty: Path) -> None:
    assert wotd.__version__ in run(installed / "wotd", "--version", cwd=empty)
    assert list(empty.iterdir()) == []
