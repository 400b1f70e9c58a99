"""Assigning on a Ray cluster, by Ray Data: actors that each hold the model take runs of shards until none is left.

A worker that dies is started anew, on another machine if need be, and its run is done again; since a shard is the
same whoever makes it and appears at once, no row is there twice or missing. Input, output and artifacts have to be
places that all machines see.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

from wotd.assignment.batches import Assigner
from wotd.assignment.shards import Done, Job, Pair, Shard, made_by
from wotd.errors import ConfigurationError, InputError, WOTDError
from wotd.hub import open_artifacts
from wotd.progress import progress
from wotd.redaction import reason_of, redacted

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from wotd.inference import SemanticIDModel

_TRIES = 20
"""How often a shard is begun before it is given up: one that takes its worker's memory would never end. That a worker
cannot be reached counts, too, and one that a lost machine had is sought for a while."""

_RUNS_EACH = 4
"""Of shards, for each worker: who is done early takes another."""

_RUN_ROWS = 262_144
"""Rows of a run; a quarter of a row group of the size that most writers have."""

_THREADS = ("StreamingExecutor", "iter_threaded")
"""Names of Ray Data's own threads."""

_THREADS_END_S = 10
"""What they may take to end; they look every tenth of a second whether they should."""

Row = dict[str, Any]


@dataclass(frozen=True)
class ModelPlan:
    """How workers load the model: arguments of :meth:`wotd.inference.SemanticIDModel.load`."""

    artifacts: str
    use: dict[str, Any]

    def load(self) -> SemanticIDModel:
        """Load it."""
        from wotd.inference import SemanticIDModel

        return SemanticIDModel.load(self.artifacts, **self.use)


def assign_on_ray(
    job: Job,
    pairs: Sequence[Pair],
    plan: ModelPlan,
    *,
    address: str | None = None,
    workers: int | None = None,
    gpus: float = 0,
) -> tuple[int, int]:
    """Do a job on a cluster.

    Args:
        job: what to do.
        pairs: files of the input.
        plan: of the model.
        address: of the cluster; None: the one that the environment names, else one that is started on this machine.
        workers: actors, each with a core; None: as many as the cluster has cores, or GPUs where they want some.
        gpus: of each worker.

    Returns:
        how many files were written, and how many were there.

    Raises:
        WOTDError: naming the file or the row that cannot be used; what was written before stays.
    """
    with _cluster(address) as ray:
        surveyed = _each(pairs, ray).map_batches(_Surveyor(job, plan), batch_size=1, batch_format="numpy")
        shards: list[Shard] = []
        found = 0
        with _answers_of(surveyed) as surveys:
            for survey in surveys:
                shards += survey["shards"]
                found += survey["parts"] - len(survey["shards"])
        known = [shard.rows for shard in shards]
        total = None if None in known else sum(rows or 0 for rows in known)
        done: dict[str, Done] = {}
        if shards:
            assigned = _assigned(shards, job, plan, ray, workers, gpus)
            with progress(f"{len(shards)} files on Ray", total, "rows") as advance, _answers_of(assigned) as answers:
                for each in (Done(**each) for answer in answers for each in answer["done"]):
                    done[each.target] = each
                    advance(each.rows)
    of_pairs = _by_pair(shards, done)
    for pair in pairs:
        job.warn_of_gaps(pair, of_pairs[pair])
    if len(done) < len(shards):
        raise InputError(f"{len(shards) - len(done)} of {len(shards)} files were not written; run again.")
    return len(shards), found


def _by_pair(shards: Iterable[Shard], done: Mapping[str, Done]) -> defaultdict[Pair, list[Done]]:
    of_pairs: defaultdict[Pair, list[Done]] = defaultdict(list)
    for shard in shards:
        if shard.target in done:
            of_pairs[shard.pair].append(done[shard.target])
    return of_pairs


def _assigned(
    shards: Sequence[Shard], job: Job, plan: ModelPlan, ray: Any, workers: int | None, gpus: float
) -> Dataset:
    resources = ray.cluster_resources()
    most = int(resources.get("GPU", 0) // gpus) if gpus else int(resources.get("CPU", 1))
    size = max(1, min(workers or most, len(shards)))
    runs = _runs(shards, size, job.choices.rows_per_file)
    with warnings.catch_warnings():
        # Arguments of actors go by a way that is deprecated; no other bounds how often a task is tried.
        warnings.filterwarnings("ignore", ".*ray_remote_args.*")
        return _each(runs, ray).map_batches(
            _Worker,
            fn_constructor_args=(job, plan),
            batch_size=1,
            batch_format="numpy",
            num_cpus=1,
            num_gpus=gpus or None,
            compute=ray.data.ActorPoolStrategy(size=size),
            max_restarts=-1,
            max_task_retries=_TRIES - 1,
        )


@dataclass(frozen=True)
class _Run:
    """Shards of one file that are done by one worker, in order."""

    shards: Sequence[Shard]


def _runs(shards: Sequence[Shard], workers: int, rows_per_file: int | None) -> list[_Run]:
    """Neighbours together, as reading them apart takes longer; so few that every worker gets several runs, if it can.

    A worker that dies costs a run, so one has not many more rows than a shard may.
    """
    most = min(len(shards) // (_RUNS_EACH * workers), _RUN_ROWS // (rows_per_file or _RUN_ROWS))
    runs = []
    for _, of_pair in groupby(shards, key=lambda shard: shard.pair):
        of_file = list(of_pair)
        runs += [_Run(of_file[first : first + max(most, 1)]) for first in range(0, len(of_file), max(most, 1))]
    return runs


@dataclass
class _Surveyor:
    """Finds the shards of a file that are to be written."""

    job: Job
    plan: ModelPlan

    def __call__(self, batch: Row) -> Row:
        def survey(pair: Pair) -> Row:
            shards, parts = self.job.open_shards(pair, open_artifacts(self.plan.artifacts))
            return {"shards": shards, "parts": parts}

        return _answers(batch, survey)


class _Worker:
    """Writes shards, with a model that is loaded once."""

    def __init__(self, job: Job, plan: ModelPlan) -> None:
        self._job, self._plan = job, plan

    def __call__(self, batch: Row) -> Row:
        return _answers(batch, lambda run: {"done": self._done(run)})

    def _done(self, run: _Run) -> list[Row]:
        with self._job.reading(run.shards[0].pair) as windows:
            return [asdict(self._job.assign(shard, self._assigner, windows=windows)) for shard in run.shards]

    @cached_property
    def _assigner(self) -> Assigner:
        model = self._plan.load()
        if made_by(model, texts=self._job.made_by["embedding"] is not None) != self._job.made_by:
            raise InputError(
                f"a worker of the Ray cluster on {platform.node()} finds another model at "
                f"{redacted(self._plan.artifacts)} than this command; expected the same artifacts and embedding model."
            )
        return Assigner(model, self._job.choices)


def _each(items: Sequence[Any], ray: Any) -> Dataset:
    """A data set of these items, each in a block of its own, so that each goes to whoever is free."""
    data: Dataset = ray.data.from_items([{"item": item} for item in items], override_num_blocks=len(items))
    return data


def _answers(batch: Row, answer: Any) -> Row:
    """An answer for each item; what the user can mend is an answer, too, and no reason to try again."""
    import numpy as np

    answers = np.empty(len(batch["item"]), dtype=object)
    for number, item in enumerate(batch["item"]):
        try:
            answers[number] = answer(item)
        except WOTDError as error:
            answers[number] = {"error": error}
    return {"answer": answers}


@contextmanager
def _answers_of(data: Dataset) -> Iterator[Iterator[Row]]:
    """Answers as they come, until this is left: what still runs for them is stopped then.

    Raises:
        WOTDError: the first answer that is one, or that workers died again and again.
    """
    from ray.exceptions import RayError

    # What is fetched before it is asked for is fetched by a thread that goes on by itself.
    batches = cast(
        "Generator[pa.Table]", iter(data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    )
    try:
        # Closed here, since an error would hold on to the frames that it came through, and those to the batches.
        with closing(batches):
            yield (_accepted(answer) for batch in batches for answer in batch["answer"].to_pylist())
    except RayError as error:
        raise InputError(
            f"workers of the Ray cluster failed ({type(error).__name__}), perhaps for want of memory; what is written "
            f"stays, and the same command goes on."
        ) from error
    finally:
        _wait_for_threads()


def _accepted(answer: Row) -> Row:
    if "error" in answer:
        raise answer["error"]
    return answer


def _wait_for_threads() -> None:
    """Until Ray Data's have seen that nobody asks for more: one that asks a Ray that is left ends the process."""
    deadline = time.monotonic() + _THREADS_END_S
    for thread in threading.enumerate():
        if thread.name.startswith(_THREADS):
            thread.join(max(0, deadline - time.monotonic()))


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Ray, connected; left again at the end."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigurationError(
            "--engine ray needs a package that is not installed: pip install 'wotd[ray]'."
        ) from error
    try:
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"the Ray cluster at {address} cannot be reached" if address else "Ray cannot be started"
        raise InputError(f"{where}: {reason_of(error)}.") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is said by us
    try:
        yield ray
    finally:
        ray.shutdown()
