"""A corpus that changes underneath: between listing and reading, and between a run and its continuation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from invented_works import invented_works
from pipeline_runs import on_vectors, on_works, stopped_at
from providers.literature.tiny_gutenberg import book, write
from providers.literature.tiny_standard_ebooks import tiny_work, write_epub, write_tree

from wotd import train_wotd_pipeline
from wotd.assembly import build_taxonomy
from wotd.configuration import compose
from wotd.errors import ConfigurationError, CorpusError
from wotd.providers.base import Provider, Work
from wotd.providers.corpora import Corpora, collect
from wotd.providers.literature.files import Files
from wotd.providers.literature.gutenberg import Gutenberg
from wotd.providers.literature.standard_ebooks import StandardEbooks

WORKS = ("a", "b", "c")


# --- between listing and reading


def trees(folder: Path) -> tuple[Provider, list[Path]]:
    return StandardEbooks(folder), [write_tree(folder / name, tiny_work()) for name in WORKS]


def epubs(folder: Path) -> tuple[Provider, list[Path]]:
    return StandardEbooks(folder), [write_epub(folder / f"{name}.epub", tiny_work()) for name in WORKS]


def texts(folder: Path) -> tuple[Provider, list[Path]]:
    return Gutenberg(folder), [write(folder / f"{name}.txt", book()) for name in WORKS]


def vanish(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(path: Path) -> None:
    for file in [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file()):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        file.write_bytes(b"")


def loop(path: Path) -> None:
    """What a path becomes that leads nowhere: the system refuses to read it, whoever asks."""
    vanish(path)
    path.symlink_to(path)


def folder_of_file(path: Path) -> None:
    """A folder where a file was, and the reverse."""
    was_folder = path.is_dir()
    vanish(path)
    path.write_bytes(b"a file") if was_folder else path.mkdir()


def while_reading(provider: Provider, change: Callable[[], object]) -> Corpora:
    """Read a provider; the change happens when it has told of its first work, and of its passages nothing."""
    works = provider.works

    def disturbed() -> Iterator[Work]:
        for number, work in enumerate(works()):
            if number == 0:
                change()
            yield work

    provider.works = disturbed  # type: ignore[method-assign]
    return collect(provider, build_taxonomy(compose([])))


@pytest.mark.parametrize("change", [vanish, cut, empty, loop, folder_of_file])
@pytest.mark.parametrize("layout", [trees, epubs, texts])
def test_works_that_change_are_dropped_with_a_reason_and_others_stay(
    layout: Callable[[Path], tuple[Provider, list[Path]]], change: Callable[[Path], None], tmp_path: Path
) -> None:
    provider, (first, second, _) = layout(tmp_path)
    found = while_reading(provider, lambda: (change(first), change(second)))
    kept = {work.id.partition(":")[2] for work in found.works}
    dropped = {name.partition(":")[2] for names in provider.dropped.examples.values() for name in names}
    assert "c" in kept
    assert kept | dropped == set(WORKS), "each is kept or counted"
    assert not kept & dropped
    assert len(found.texts) == sum(work.passages for work in found.works)


@pytest.mark.parametrize("layout", [trees, epubs, texts])
def test_works_that_appear_wait_for_the_next_run(
    layout: Callable[[Path], tuple[Provider, list[Path]]], tmp_path: Path
) -> None:
    provider, (_, second, _) = layout(tmp_path)
    copy = shutil.copytree if second.is_dir() else shutil.copyfile
    found = while_reading(provider, lambda: copy(second, second.with_name(second.name.replace("b", "d"))))
    assert [work.id.partition(":")[2] for work in found.works] == list(WORKS)


@pytest.mark.parametrize("layout", [trees, epubs])
def test_a_folder_that_goes_is_a_sentence(
    layout: Callable[[Path], tuple[Provider, list[Path]]], tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    provider, _ = layout(folder)
    with pytest.raises(CorpusError, match=r"^the provider standard_ebooks gave no passage \(3 "):
        while_reading(provider, lambda: shutil.rmtree(folder))


@pytest.mark.parametrize("change", [vanish, cut, empty, loop, folder_of_file])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_rows_of_a_table_that_changes_are_refused(change: Callable[[Path], None], suffix: str, tmp_path: Path) -> None:
    """Works are spread over a table, so none of it can be told from the rest."""
    path = tmp_path / f"table{suffix}"
    rows = invented_works(works_of_each=1)
    if suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(
        CorpusError, match=r"^table\.\w+ (changed while it was being read|cannot be read any more)"
    ) as caught:
        while_reading(Files(root=path), lambda: change(path))
    assert "\n" not in str(caught.value)


# --- between a run and its continuation


def other_texts(folder: Path) -> None:
    on_works(folder, rows=invented_works(seed=1))


def fewer_texts(folder: Path) -> None:
    on_works(folder, rows=invented_works()[:-8])


def other_labels(folder: Path) -> None:
    on_works(folder, rows=[row | {"year_written": 1900} for row in invented_works()])


def test_a_run_does_not_go_on_with_another_corpus(tmp_path: Path, tiny_model_path: Path) -> None:
    """With an embedding model that learned nothing from the corpus, whose fingerprint therefore stays."""
    more = ("embedding=minilm", f"embedding.model={tiny_model_path}", "features=none")
    told = [each for each in on_works(tmp_path, *more) if not each.startswith("embedding.dimension=")]
    with pytest.raises(SystemExit):
        train_wotd_pipeline([*told, *stopped_at(1)], tmp_path / "run")
    sentence = (
        r"^ckpt_path goes on from a run on other data: its texts, their labels or their split have changed \(144 "
    )
    for change in (other_texts, fewer_texts, other_labels):
        change(tmp_path)
        with pytest.raises(ConfigurationError, match=sentence):
            train_wotd_pipeline([*told, "ckpt_path=last"], tmp_path / "run")


def test_a_run_does_not_go_on_with_other_vectors(tmp_path: Path) -> None:
    told = on_vectors(tmp_path)
    with pytest.raises(SystemExit):
        train_wotd_pipeline([*told, *stopped_at(3)], tmp_path / "run")
    vectors = np.load(tmp_path / "vectors.npy")
    np.save(tmp_path / "vectors.npy", vectors[::-1])
    with pytest.raises(ConfigurationError, match=r"its vectors, .* \(300 rows then, 300 now\)"):
        train_wotd_pipeline([*told, "ckpt_path=last"], tmp_path / "run")
