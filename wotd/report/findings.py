"""A run as its artifact folder tells it, read once for all that is written of it.

Shape letters: N passages, L levels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wotd.artifacts import CODES, RESULTS, SEMANTIC_IDS, TRAINING_CONFIG
from wotd.taxonomy import UNKNOWN_CODE, Taxonomy

_TOLD = ("corpus", "text", "split", "position")
_PASSAGE_CHARACTERS, _TITLE_CHARACTERS = 240, 120


@dataclass(frozen=True)
class Findings:
    """What a run found.

    Attributes:
        folder: the artifacts.
        config: what their ``config.json`` says.
        results: what their ``training_results.json`` says.
        works: by corpus, what ``semantic_ids.json`` says.
        passages: of the table ``codes.parquet`` the columns corpus, text, split and position, where it has them.
        settings: the run's config as YAML; empty where it is not kept.
    """

    folder: Path
    config: Mapping[str, Any]
    results: Mapping[str, Any]
    works: Mapping[str, Mapping[str, Any]]
    passages: pa.Table
    settings: str

    @classmethod
    def of(cls, folder: Path, config: Mapping[str, Any]) -> Findings:
        """Read a folder."""
        settings = folder / TRAINING_CONFIG
        return cls(
            folder,
            config,
            json.loads((folder / RESULTS).read_text(encoding="utf-8")),
            json.loads((folder / SEMANTIC_IDS).read_text(encoding="utf-8"))["corpora"],
            _told(folder / CODES),
            settings.read_text(encoding="utf-8") if settings.is_file() else "",
        )

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures by name: ``test/nmse``."""
        found: Mapping[str, float] = self.results["metrics"]
        return found

    @cached_property
    def taxonomy(self) -> Taxonomy | None:
        """What the labels follow; None for bare vectors."""
        data = self.config.get("taxonomy")
        return None if data is None else Taxonomy.from_mapping(data)

    @property
    def level_sizes(self) -> list[int]:
        """Codes per level."""
        return list(self.config["encoder"]["level_sizes"])

    @cached_property
    def levels(self) -> list[tuple[str, Sequence[str]]]:
        """Names of the code's levels, each with the names of its codes; indices where they have none."""
        if self.config.get("named") and self.taxonomy is not None:
            return [(level.name, level.codes) for level in self.taxonomy.levels]
        return [(f"level_{level}", [str(code) for code in range(size)]) for level, size in enumerate(self.level_sizes)]

    @property
    def level_names(self) -> list[str]:
        """Names of the code's levels."""
        return [name for name, _ in self.levels]

    @cached_property
    def labels(self) -> list[str]:
        """Levels of the label of which anything is known, in their order."""
        return list(dict.fromkeys(name.rpartition("/")[2] for name in self.metrics if "/ami/level_" in name))

    @property
    def taught(self) -> list[str]:
        """Those that levels of the code are taught to say."""
        return [name for name in self.labels if any(f"/calibration/{name}/ece" in metric for metric in self.metrics)]

    @cached_property
    def codes(self) -> NDArray[np.int32]:
        """Codes of all passages, int32 N×L."""
        return _matrix(self.folder / CODES, "code", len(self.level_sizes))

    @cached_property
    def label_codes(self) -> NDArray[np.int32]:
        """Their labels, a column a level of the taxonomy, -1 where unknown; no column for bare vectors."""
        if "label" not in pq.read_schema(self.folder / CODES).names or self.taxonomy is None:
            return np.empty((len(self.passages), 0), dtype=np.int32)
        return _matrix(self.folder / CODES, "label", len(self.taxonomy.levels))

    def rows(self, side: str) -> NDArray[np.int64]:
        """The passages of a side."""
        return np.flatnonzero(pc.equal(self.passages["split"], side).to_numpy())

    def id_of(self, row: int, depth: int | None = None) -> str:
        """The code of a passage, or its first levels, as people write it."""
        return "-".join(map(str, self.codes[row, :depth].tolist()))

    def text_of(self, row: int) -> str | None:
        """How a passage begins; None where the artifacts keep no texts."""
        if "text" not in self.passages.column_names:
            return None
        return shortened(self.passages["text"][row].as_py(), _PASSAGE_CHARACTERS)

    def work_of(self, row: int) -> str | None:
        """Title and author of a passage's work; None for bare vectors."""
        corpus = self.passages["corpus"][row].as_py()
        if corpus is None:
            return None
        work = self.works[corpus]
        title = f"{work['title']}, {work['author']}" if work.get("author") else str(work["title"])
        return shortened(title, _TITLE_CHARACTERS)


def shortened(text: str, characters: int) -> str:
    """A text on one line, cut between words where it is longer."""
    text = " ".join(text.split())
    return text if len(text) <= characters else f"{text[:characters].rsplit(' ', 1)[0]} …"


def _told(path: Path) -> pa.Table:
    """What is told of passages, but for the numbers of all of them, which take less memory as matrices."""
    names = [name for name in pq.read_schema(path).names if name in _TOLD]
    return pq.read_table(path, columns=names, read_dictionary=["corpus", "split"])


def _matrix(path: Path, column: str, width: int) -> NDArray[np.int32]:
    """A column of lists of one length, read some rows at a time."""
    with pq.ParquetFile(path) as file:
        matrix = np.empty((file.metadata.num_rows, width), dtype=np.int32)
        first = 0
        for batch in file.iter_batches(columns=[column]):
            rows = batch.column(0).flatten().fill_null(UNKNOWN_CODE).to_numpy(zero_copy_only=False)
            matrix[first : first + len(batch)] = rows.reshape(len(batch), width)
            first += len(batch)
    return matrix
