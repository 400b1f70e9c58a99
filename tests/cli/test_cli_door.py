"""The door itself: help, versions, start-up time, exit statuses, what happens when somebody leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from wotd import __version__
from wotd.cli import run

pytest_plugins = ["artifact_fixtures"]

COMMANDS = [
    *("encode", "decode", "describe", "neighbors", "browse", "word", "inspect", "evaluate"),
    *("compare", "plan", "embed", "models", "assign", "export", "align", "push", "pull", "serve", "cache", "index"),
]


def start(*arguments: object, **options) -> subprocess.Popen[bytes]:
    """The real thing."""
    command = [sys.executable, "-m", "wotd.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_the_version_is_told():
    out, err = start("--version").communicate()
    assert (out.decode().strip(), err) == (f"wotd {__version__}", b"")


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom wotd.cli import run\nrun(['encode', '--help'])\n"
        "print({name.partition('.')[0] for name in sys.modules}"
        " & {'torch', 'numpy', 'pyarrow', 'hydra', 'lightning', 'rich', 'yaml'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_lists_every_command(shell):
    said = shell()
    assert said.status == 0
    listed = said.out.split("Commands:")[1].split("\n\n")[0]
    assert re.findall(r"^  (\w+)", listed, re.MULTILINE) == COMMANDS
    assert "..." not in listed
    assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS[:-2],
        *(f"cache {verb}" for verb in ("list", "verify", "prune", "export")),
        *(f"index {verb}" for verb in ("build", "browse", "item")),
    ],
)
def test_each_command_explains_itself_with_examples(shell, command):
    said = shell(*command.split(), "--help")
    assert said.status == 0
    assert f"Usage: wotd {command}" in said.out
    assert f"wotd {command}" in said.out.split("Examples:")[1].replace("wotd.cli", "wotd")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["enkode"], "No such command 'enkode'"),
        (["encode"], "encode: Missing option '--artifacts'; wotd encode --help shows how."),
        (["encode", "--artifact", "A", "text"], "No such option: --artifact"),
        (["encode", "--artifacts", "A", "text", "--input", "F"], "exclude each other"),
        (["encode", "--artifacts", "A", "--vectors", "X.npy"], "--vectors needs --output"),
        (["encode", "--artifacts", "A", "text", "--output", "a.csv", "--format", "json"], "decided by its suffix"),
        (["encode", "--artifacts", "A", "text", "--min-confidence", "2"], "'--min-confidence'"),
        (["plan"], "--items and --level-sizes are needed"),
        (["plan", "--items", "5", "--level-sizes", "8,x"], "'8,x'; expected whole numbers"),
        (["plan", "--root", "B"], "name it with --provider"),
        (["evaluate", "--artifacts", "A", "--vectors", "X", "--provider", "files"], "exclude each other"),
        (["embed", "--input", "F", "--output", "E.npy"], "either --model or --artifacts"),
        (["assign", "--artifacts", "A", "--input", "I", "--output", "O", "--shard", "4/4"], "a rank below the world"),
        (["serve", "--artifacts", "A", "--port", "70000"], "'--port'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(refused, arguments, sentence):
    assert sentence in refused(*arguments, status=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "--artifacts", "nowhere", "text"],
        ["decode", "--artifacts", "nowhere", "--codes", "c.npy", "--output", "r.npy"],
        ["describe", "--artifacts", "nowhere", "1"],
        ["neighbors", "--artifacts", "nowhere", "text"],
        ["browse", "--artifacts", "nowhere"],
        ["inspect", "--artifacts", "nowhere"],
        ["evaluate", "--artifacts", "nowhere"],
        ["plan", "--artifacts", "nowhere"],
    ],
)
def test_wrong_artifacts_are_one_sentence_and_status_1(refused, arguments):
    assert "artifacts is nowhere, which is not a folder" in refused(*arguments)


def test_a_damaged_folder_says_what_is_wrong(refused, vector_artifacts, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(vector_artifacts, copy)
    (copy / "codes.parquet").write_bytes(b"PAR1")
    assert "codes.parquet is not as it was written" in refused("inspect", "--artifacts", copy)
    (copy / "config.json").unlink()
    assert "holds no config.json" in refused("browse", "--artifacts", copy)


def test_an_interrupt_is_status_130(refused, text_artifacts, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wotd.inference.SemanticIDModel.encode_stream", interrupted)
    assert refused("encode", "--artifacts", text_artifacts, "text", status=130) == "wotd: interrupted.\n"


def test_what_the_system_refuses_is_a_sentence(refused, text_artifacts, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wotd.cli.encode.print_line", full)
    sentence = refused("encode", "--artifacts", text_artifacts, "text")
    assert sentence == "wotd: No space left on device.\n"


def test_our_own_bugs_keep_their_traceback(text_artifacts, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("wotd.cli.encode.print_line", broken)
    with pytest.raises(ZeroDivisionError):
        run(["encode", "--artifacts", str(text_artifacts), "text"])


def test_a_reader_that_leaves_is_no_drama(text_artifacts):
    process = start("encode", "--artifacts", text_artifacts, stdin=subprocess.PIPE)
    process.stdout.close()
    process.stdin.write(b"a rose\n" * 5000)
    process.stdin.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
    process.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_kill_leaves_no_half_written_file(vector_artifacts, tmp_path):
    output = tmp_path / "out" / "codes.jsonl"
    output.parent.mkdir()
    pipe = tmp_path / "texts.txt"
    pipe.write_text("x\n")
    code = (
        "import sys, time\nimport wotd.cli.outputs as outputs\nfrom wotd.cli import main\n"
        "import wotd.cli.encode as encode\nfrom pathlib import Path\n"
        "def slow(*_, **__):\n"
        f"    with outputs.rows_to(Path({str(output)!r}), lambda: None) as write:\n"
        "        write({'a': 1}); print('ready', flush=True); time.sleep(60)\n"
        "encode._encode_vectors = slow\n"
        "main(['encode', '--artifacts', 'A', '--vectors', 'V', '--output', 'x.npy'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    assert len(list(output.parent.iterdir())) == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert list(output.parent.iterdir()) == []
    process.stdout.close()


@pytest.mark.skipif(os.name == "nt", reason="terminals")
def test_a_terminal_gets_a_table_in_its_width(text_artifacts):
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm-256color", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "wotd.cli", "encode", "--artifacts", str(text_artifacts), "a rose " * 20]
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    _, err = process.communicate()
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert err == b""
    assert "poetic" in shown
    assert not re.search(r"\x1b\[[\d;]*3\d", shown), "no colours where NO_COLOR is set"
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert max(map(len, plain.splitlines())) <= 80


def test_json_is_utf8_whatever_the_locale_says(text_artifacts):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    process = start("encode", "--artifacts", text_artifacts, "rosé – 玫瑰", env=environment)
    out, err = process.communicate()
    assert "rosé – 玫瑰" in out.decode("utf-8")
    assert err == b""


@pytest.mark.skipif(os.name == "nt", reason="file descriptors")
def test_closed_streams_are_no_surprise():
    for closed, status, sentence in (("<&-", 1, "there are no texts: give TEXT or --input"), (">&- 2>&-", 1, "")):
        line = f'"{sys.executable}" -m wotd.cli encode --artifacts nowhere {closed}'
        done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == status
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
