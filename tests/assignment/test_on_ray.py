"""The same job on a cluster of two machines, of which a worker and then a whole machine are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_artifacts import make_vector_artifacts

from wotd import SemanticIDModel
from wotd.assignment.batches import Choices
from wotd.assignment.local import assign_here
from wotd.assignment.on_ray import ModelPlan, _answers_of, _runs, _Worker, assign_on_ray
from wotd.assignment.shards import Job, Pair, find_pairs, made_by
from wotd.errors import InputError, VectorsError

pytestmark = pytest.mark.slow

STORE_BYTES = 80 * 1024 * 1024


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """Two nodes on this machine, of a core each; the second of them may be killed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.second = made.add_node(**node)
    yield made
    made.shutdown()


PARTS = [f"part-{part:05}.parquet" for part in range(40)]


@pytest.fixture
def source(tmp_path: Path, vectors: np.ndarray) -> Path:
    """Vectors in Parquet, in forty parts of which some rows have none."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = len(PARTS) * 4096 - 100
    mask = pa.array(np.arange(rows) % 5000 == 99)
    flat = pa.array(vectors[np.arange(rows) % len(vectors)].reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=mask)
    pq.write_table(pa.table({"n": np.arange(rows), "vector": column}), folder / "a.parquet")
    return folder


def job_of(model: SemanticIDModel, source: Path, output: Path, **choices: object) -> tuple[Job, list[Pair]]:
    chosen = Choices(rows_per_file=4096, **choices)
    folder, target, pairs = find_pairs(str(source), str(output), vectors=chosen.vector_column is not None)
    return Job(folder, target, chosen, made_by(model, texts=model.artifacts.fingerprint is not None)), pairs


def wait_for(parts: int, folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 180
    while len(list(folder.glob("part-*"))) < parts:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def workers() -> list[psutil.Process]:
    """Those of the cluster that this process has started."""
    ours = psutil.Process().children(recursive=True)
    return [process for process in ours if any("MapWorker" in word for word in process.cmdline())]


def test_what_dies_is_replaced_and_no_row_is_lost_or_twice(by_vector, source, tmp_path, cluster):
    assert assign_here(*job_of(by_vector, source, tmp_path / "here", vector_column="vector"), by_vector) == (40, 0)
    command = [sys.executable, "-m", "wotd.cli", "assign", "--artifacts", by_vector.artifacts.folder, "--input", source]
    command += ["--output", tmp_path / "out", "--vector-column", "vector", "--rows-per-file", "4096"]
    on_ray = [*map(str, command), "--engine", "ray", "--ray-address", cluster.address]
    out = tmp_path / "out" / "a.parquet"
    out.mkdir(parents=True)
    shutil.copy2(tmp_path / "here" / "a.parquet" / PARTS[5], out)  # as an earlier run would have left it
    with subprocess.Popen(on_ray, stderr=subprocess.PIPE, text=True) as process:
        wait_for(2, out, process)
        workers()[0].send_signal(signal.SIGKILL)
        wait_for(7, out, process)
        cluster.remove_node(cluster.second, allow_graceful=False)
        assert len(list(out.glob("part-*"))) < len(PARTS)
        said = process.communicate(timeout=240)[1]
    assert process.returncode == 0, said
    assert "a.parquet: 33 rows without a vector got no code, the first is row 100" in said
    assert sorted(path.name for path in out.glob("part-*")) == PARTS
    for name in PARTS:
        assert pq.read_table(out / name).equals(pq.read_table(tmp_path / "here" / "a.parquet" / name))
    written = {name: (out / name).stat().st_mtime_ns for name in PARTS}
    assert [name for name in PARTS if written[name] == min(written.values())] == [PARTS[5]]
    assert written[PARTS[5]] == (tmp_path / "here" / "a.parquet" / PARTS[5]).stat().st_mtime_ns


def test_texts_get_what_they_get_here(by_text, texts, tmp_path, cluster):
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    assign_here(*job_of(by_text, tmp_path / "texts.txt", tmp_path / "here"), by_text)
    job, pairs = job_of(by_text, tmp_path / "texts.txt", tmp_path / "out")
    plan = ModelPlan(str(by_text.artifacts.folder), {})
    assert assign_on_ray(job, pairs, plan, address=cluster.address) == (1, 0)
    part = Path("texts.txt.parquet") / PARTS[0]
    assert pq.read_table(tmp_path / "out" / part).equals(pq.read_table(tmp_path / "here" / part))
    assert assign_on_ray(job, pairs, plan, address=cluster.address) == (0, 1)


@pytest.fixture
def threads_left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of threads that are in Ray Data's code when Ray is left; one that waits for ever asks nothing of it."""
    import ray

    left: list[str] = []
    leave = ray.shutdown

    def looked_at() -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            stack = traceback.extract_stack(frames.get(thread.ident)) if thread.ident in frames else []
            if thread is not threading.current_thread() and any("/ray/data/" in frame.filename for frame in stack):
                left.append(thread.name)
        leave()

    monkeypatch.setattr(ray, "shutdown", looked_at)
    return left


def test_what_cannot_be_read_is_one_sentence(by_vector, tmp_path, cluster, threads_left):
    (tmp_path / "in").mkdir()
    for name in "abcdefgh":
        np.save(tmp_path / "in" / f"{name}.npy", np.full((10, 6), np.nan, np.float32))
    plan = ModelPlan(str(by_vector.artifacts.folder), {})
    expected = r"^[a-h]\.npy row 1 is not of finite numbers; expected a vector, or null for"
    with pytest.raises(VectorsError, match=expected):
        assign_on_ray(*job_of(by_vector, tmp_path / "in", tmp_path / "out"), plan, address=cluster.address)
    assert set(threads_left) <= {"Prefetcher"}
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_nothing_is_asked_for_any_more_when_answers_are_left() -> None:
    """However late a thread of Ray Data sees that it should end."""
    given_up = threading.Event()
    thread = threading.Thread(target=lambda: (given_up.wait(), time.sleep(0.3)), name="iter_threaded", daemon=True)

    class Answers:
        def iter_batches(self, **_: object) -> Iterator[pa.Table]:
            thread.start()
            try:
                while True:
                    yield pa.table({"answer": [{"n": 1}, {"n": 2}]})
            finally:
                given_up.set()

    with _answers_of(Answers()) as answers:
        assert [next(answers)["n"] for _ in range(3)] == [1, 2, 1]
    assert given_up.is_set()
    assert not thread.is_alive()


def test_a_worker_that_finds_another_model_writes_nothing(by_vector, vectors, tmp_path):
    """As where the path of the artifacts leads to others on another machine."""
    np.save(tmp_path / "a.npy", vectors)
    job, [pair] = job_of(by_vector, tmp_path / "a.npy", tmp_path / "out")
    shards, _ = job.open_shards(pair, by_vector.artifacts)
    other = ModelPlan(str(make_vector_artifacts(tmp_path / "other", rows=61)), {})
    runs = _runs(shards, 1, 4096)
    [answer] = _Worker(job, other)({"item": runs})["answer"]
    with pytest.raises(InputError, match=r"finds another model at \S*/other than this command"):
        raise answer["error"]
    assert not (tmp_path / "out").exists()
    same = ModelPlan(str(by_vector.artifacts.folder), {})
    [answer] = _Worker(job, same)({"item": runs})["answer"]
    assert [done["rows"] for done in answer["done"]] == [len(vectors)]
