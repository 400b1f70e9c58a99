"""Disks that are full, truly: a sentence, nothing half-written, and all goes on once there is room."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from invented_works import invented_works
from made_artifacts import make_text_artifacts
from pipeline_runs import codes, on_vectors
from small_disks import resize
from warm_processes import WarmParent

from wotd.artifacts import Artifacts
from wotd.embeddings import SentenceTransformerEmbedder

pytestmark = pytest.mark.slow


def test_a_run_on_a_disk_that_fills_up_goes_on_where_it_was(parent: WarmParent, disk: Path, tmp_path: Path) -> None:
    """Each time with a little more room, so that each part of the run is what does not fit once."""
    overrides = on_vectors(tmp_path / "data", "trainer.max_epochs=2")
    assert parent.run("wotd-train", *overrides, "hydra.run.dir=whole", cwd=tmp_path).status == 0
    run, met = disk / "run", []
    for size in ("24k", "192k", "4m"):
        resize(disk, size)
        again = ["ckpt_path=last"] if (run / "checkpoints" / "last.ckpt").is_file() else []
        door = parent.run("wotd-train", *overrides, *again, f"hydra.run.dir={run}", cwd=tmp_path)
        complaint = door.err.read_text()
        assert not [path for path in run.rglob("*") if path.name.endswith((".partial", ".lock"))]
        if door.status == 0:
            break
        assert not (run / "artifacts").exists()
        assert complaint.count("\n") == 1, complaint
        assert "No space left on device" in complaint
        met.append(complaint.partition(str(disk))[0])
    assert door.status == 0, complaint
    assert [sentence.partition(" to ")[0] for sentence in met] == [
        "wotd-train: training cannot write",
        "wotd-train: the artifacts cannot be written",
    ]
    assert codes(run) == codes(tmp_path / "whole")


def test_an_assignment_to_a_disk_that_fills_up_goes_on_where_it_was(
    parent: WarmParent, disk: Path, tmp_path: Path, tiny_model_path: Path
) -> None:
    artifacts = make_text_artifacts(tmp_path / "artifacts", SentenceTransformerEmbedder(str(tiny_model_path), "cpu"))
    Artifacts.open(artifacts)
    texts = tmp_path / "texts"
    texts.mkdir()
    lines = [json.dumps({"text": row["text"]}) + "\n" for row in invented_works()]
    for number in range(6):
        (texts / f"{number}.jsonl").write_text("".join(lines[number::6]))

    def assigned(output: Path) -> tuple[int | None, str]:
        command = ["assign", "--artifacts", str(artifacts), "--input", str(texts), "--output", str(output)]
        door = parent.run("wotd", *command, cwd=tmp_path)
        return door.status, door.err.read_text()

    status, complaint = assigned(disk / "ids")
    assert status == 1, complaint
    assert complaint.splitlines()[-1].startswith("wotd: "), complaint
    assert "No space left on device" in complaint
    assert "Traceback" not in complaint
    assert not [path for path in disk.rglob(".*") if path.is_file()]
    resize(disk, "4m")
    assert assigned(disk / "ids")[0] == 0
    assert assigned(tmp_path / "whole")[0] == 0
    names = sorted(path.name for path in (tmp_path / "whole").glob("*.parquet"))
    assert len(names) == 6
    assert sorted(path.name for path in (disk / "ids").glob("*.parquet")) == names
    for name in names:
        assert pq.read_table(disk / "ids" / name).equals(pq.read_table(tmp_path / "whole" / name))
