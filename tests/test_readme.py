"""What the README tells a reader to do works: its blocks run from top to bottom, in a folder with what they speak of.

A step stands on those before it, as it does for a reader. Run the whole file, not a part of it.
"""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from invented_works import invented_works
from providers.literature import tiny_gutenberg, tiny_standard_ebooks
from readme_blocks import README, Step, blocks, headings, refusal, steps
from readme_shell import smaller
from small_training import clusters

STEPS = steps(README.read_text(encoding="utf-8"))

NOT_RUN = {
    "make setup": "what the continuous integration itself begins with",
    "make train": "a full training; the same command follows, made small",
    "make test": "this is what it runs",
    "python -m wotd.train -m +experiment=minilm embedding=minilm,mpnet,lsa": "mpnet would be downloaded",
    "python -m wotd.train -m +experiment=minilm +sweep=learning_rate hydra/launcher=submitit_slurm": "wants Slurm",
    "python -m wotd.train -m +experiment=minilm +sweep=losses hydra/launcher=joblib": "test_sweeps.py runs such a one",
    "python -m wotd.train -m +experiment=minilm +sweep=optuna": "likewise, with trials that are few",
    "torchrun --nproc-per-node 4 -m wotd.train": "test_train.py and test_processes.py run such ones",
    "srun --kill-on-bad-exit=1": "wants Slurm",
    "make wheel && mkdir -p job": "test_training_toolkit.py runs jobs from such a folder",
    '(cd job && echo "$(ls ./wotd-*.whl)': "likewise",
    "from sagemaker.pytorch import PyTorch": "wants an AWS account",
    "make sagemaker-package ARTIFACTS": "the same command follows, without make",
    "curl -s localhost:8080/encode": "wants the server that the step before has stopped again",
    "wotd push --artifacts $A hf://": "wants a hub; tests/hub/test_repositories.py has one",
    "wotd push --artifacts $A s3://": "wants a bucket; tests/hub/test_buckets.py has one",
    "wotd assign --artifacts $A --input s3://": "wants a bucket and a cluster; tests/assignment has both",
    "wotd pull hf://": "wants a hub, likewise",
    "wotd encode --artifacts hf://": "wants a hub, likewise",
    "make up": "wants Docker; tests/deployment/container says what of it is tried where there is none",
    "make image": "wants Docker, likewise",
    "docker run": "wants Docker, likewise",
}
"""Steps that are not tried, by how they begin, and why."""

BOOKS = (
    "python -m wotd.train +experiment=minilm provider=standard_ebooks provider.root=BOOKS hydra.run.dir=outputs/books"
)
FIRST = {
    'wotd encode --artifacts outputs/books/artifacts "It was a dark night, and': BOOKS,  # shown before it is explained
    "wotd align --artifacts NEW": 'ln -sfn "$A" NEW',
}
"""What makes the things that stand for a reader's own, before steps that begin so."""

SECONDS = 300

SMALL_TRAINING = """
import wotd
whole = wotd.train_wotd_pipeline
small = {"trainer.max_epochs": 1, "provider.n_works": 24, "provider.passages_per_work": 4}
wotd.train_wotd_pipeline = lambda config, folder: whole({**config, **small}, folder)
"""


def left_out(step: Step) -> bool:
    return any(step.text.startswith(begin) for begin in NOT_RUN)


# --- what the README is taken for


def test_what_is_left_out_is_in_the_readme() -> None:
    idle = [begin for begin in NOT_RUN if not any(step.text.startswith(begin) for step in STEPS)]
    idle += [begin for begin in FIRST if not any(step.text.startswith(begin) for step in STEPS)]
    assert not idle, "the README no longer has these; take them out here"


def test_drawings_hold_no_commands() -> None:
    drawings = [content for language, content in blocks(README.read_text(encoding="utf-8")) if not language]
    typed = r"^\s*(?:\$|>>>|wotd|wotd-train|python|make|pip) "
    assert not [content for content in drawings if re.search(typed, content, re.MULTILINE)], "give it a language"


def test_a_block_of_another_language_is_noticed() -> None:
    with pytest.raises(ValueError, match="is bash; expected sh, console"):
        steps("```bash\nwotd models\n```\n")


def test_blocks_become_steps() -> None:
    script = "```sh\n# a comment\nA=x # one\nwotd a \\\n    --b   # two\n```\n"
    session = "```console\n$ wotd c\nx  y\n────\n1  2\n```\n"
    assert steps(script + session) == [
        Step("sh", "A=x"),
        Step("sh", "wotd a --b"),
        Step("console", "wotd c", "x  y\n────\n1  2"),
    ]
    assert headings("x  y\n────\n1  2") == ["x  y"]
    assert refusal("wotd: it is\nnot: 12… here") == "wotd: it is not: 12"


def test_trainings_become_small() -> None:
    assert "trainer.max_epochs=1" in smaller(["+experiment=minilm"])
    assert smaller(["--help"]) == ["--help"]


# --- what the README tells to do


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the README speaks of."""
    folder = tmp_path_factory.mktemp("readme")
    works: dict[str, list[dict[str, object]]] = {}
    for row in invented_works(works_of_each=4, passages=6):
        works.setdefault(str(row["id"]), []).append(row)
    for number, (name, rows) in enumerate(works.items(), 1):
        write_standard_ebook(folder / "BOOKS" / f"author-{number}_{name}", rows)
        write_gutenberg_book(folder / "TEXTS", number, rows)
    (folder / "A").symlink_to("BOOKS")
    (folder / "B").symlink_to("TEXTS")
    with (folder / "letters.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["sender", "year", "genres", "body"])
        table.writerows([row["authors"], row["year_written"], row["genres"], row["text"]] for row in invented_works(4))
    lines = [json.dumps({"id": name, "text": rows[0]["text"]}) for name, rows in works.items()]
    (folder / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    np.save(folder / "vectors.npy", clusters(400))

    programs = folder / "bin"
    programs.mkdir()
    for name in ("python", "wotd", "wotd-train"):
        program = programs / name
        shell = Path(__file__).with_name("readme_shell.py")
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{shell}" {name} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    return folder


def write_standard_ebook(folder: Path, rows: list[dict[str, object]]) -> None:
    genre, year, author = (str(rows[0][name]) for name in ("genres", "year_written", "authors"))
    meta = tiny_standard_ebooks.metadata(tiny_standard_ebooks.NEW_WORDS, ease="78.5").replace("Ada Finch", author)
    meta = meta.replace(">Comedy<", f">{genre}<")
    if genre in ("Drama", "Poetry", "Philosophy"):
        meta = re.sub(r"<meta[^>]*>Fiction</meta>", "", meta)
    chapter = tiny_standard_ebooks.chapter("".join(f"<p>{row['text']}</p>\n" for row in rows))
    sentence = tiny_standard_ebooks.WRITTEN.replace("1847", year)
    files = tiny_standard_ebooks.tiny_work({"chapter-1": chapter}, sentence=sentence, meta=meta)
    tiny_standard_ebooks.write_tree(folder, files)


def write_gutenberg_book(folder: Path, number: int, rows: list[dict[str, object]]) -> None:
    title, author, genre, year = (rows[0][name] for name in ("title", "authors", "genres", "year_written"))
    body = "CHAPTER I\n\n\n" + "\n\n".join(str(row["text"]) for row in rows)
    text = tiny_gutenberg.book(body, title=str(title), number=number, author=str(author))
    tiny_gutenberg.write(folder / f"pg{number}.txt", text)
    catalogue = folder / "pg_catalog.csv"
    known = catalogue.read_text(encoding="utf-8") if catalogue.exists() else tiny_gutenberg.CATALOGUE
    born = int(str(year)) - 35
    row = f'{number},Text,2001-01-01,{title},en,"{author}, {born}-{born + 60}",Mills -- {genre},PR,\n'
    tiny_gutenberg.write(catalogue, known + row)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(STEPS)), ids=lambda number: f"{number}: {STEPS[number].text[:60]}")
def test_a_step_works(number: int, place: Path) -> None:
    step = STEPS[number]
    if left_out(step):
        pytest.skip(next(reason for begin, reason in NOT_RUN.items() if step.text.startswith(begin)))
    if step in STEPS[:number] or step.text in FIRST.values():
        pytest.skip("done further up")
    before = [command for begin, command in FIRST.items() if step.text.startswith(begin)]
    match step.language:
        case "sh" | "console":
            said = [earlier.text for earlier in STEPS[:number] if re.match(r"[A-Z]+=", earlier.text)]
            command = ["bash", "-euc", "\n".join([*said, *before, step.text])]
        case "python":
            command = ["python", "-c", SMALL_TRAINING + step.text]
        case _:
            (place / "session.txt").write_text(step.text, encoding="utf-8")
            command = ["python", "-m", "doctest", "session.txt"]
    status, answer = typed(command, place)
    expected = refusal(step.shown)
    assert status == (1 if expected else 0), answer
    said_of_it = " ".join(answer.split())
    assert expected in said_of_it
    for heading in headings(step.shown):
        assert " ".join(heading.split()) in said_of_it


def typed(command: list[str], folder: Path) -> tuple[int, str]:
    """Exit status, and what it says on a wide terminal."""
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "400",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
    leader, follower = pty.openpty()
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        said = bytearray()
        try:
            while chunk := os.read(leader, 65536):
                said += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
        finally:
            os.close(leader)
        status = process.wait(timeout=SECONDS)
    return status, said.decode(errors="replace")
