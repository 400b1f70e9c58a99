"""What loggers show beside scalars: pictures, histograms, texts, a projector; each logger as far as it can.

TensorBoard shows all of it, MLflow and Weights & Biases pictures and texts (and the latter histograms), CSV nothing.
"""

from __future__ import annotations

import io
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from numpy.typing import NDArray

from wotd.charts import Panels, png

RESULTS = "results"

Settings = Mapping[str, str | int | float | bool]


class Board(ABC):
    """Where a run is looked at."""

    @abstractmethod
    def picture(self, name: str, drawn: bytes, step: int) -> None:
        """Show a PNG."""

    @abstractmethod
    def text(self, name: str, markdown: str, step: int) -> None:
        """Show Markdown."""

    def histogram(self, name: str, counts_K: NDArray[np.int64], step: int) -> None:
        """Show how often each code was counted, where that can be shown."""
        del name, counts_K, step

    def projector(
        self, name: str, x_MD: NDArray[np.float32], header: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """Show vectors in space with what is known of each, where that can be shown."""
        del name, x_MD, header, rows

    @abstractmethod
    def settings(self, settings: Settings, metrics: Mapping[str, float], step: int) -> None:
        """Show a run's settings with what they gave, so that runs can be compared by them."""

    def of_results(self) -> Board:
        """Where that is shown which only the end of the run gives; where it can be, apart from the curves."""
        return self

    @abstractmethod
    def close(self) -> None:
        """Nothing more is shown of this run."""


class TensorBoard(Board):
    """A board of TensorBoard's events."""

    def __init__(self, logger: TensorBoardLogger) -> None:
        """Write beside the logger's scalars."""
        self._logger, self._writer = logger, logger.experiment

    def picture(self, name: str, drawn: bytes, step: int) -> None:
        """Under Images."""
        from PIL import Image

        with Image.open(io.BytesIO(drawn)) as image:
            self._writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def text(self, name: str, markdown: str, step: int) -> None:
        """Under Text."""
        self._writer.add_text(name, markdown, step)

    def histogram(self, name: str, counts_K: NDArray[np.int64], step: int) -> None:
        """Under Histograms and Distributions: a bin a code."""
        counts, codes = counts_K.astype(float), np.arange(len(counts_K))
        self._writer.add_histogram_raw(
            name,
            min=0.0,
            max=float(len(codes)),
            num=int(counts.sum()),
            sum=float(counts @ codes),
            sum_squares=float(counts @ codes**2),
            bucket_limits=(codes + 1.0).tolist(),
            bucket_counts=counts.tolist(),
            global_step=step,
        )

    def projector(
        self, name: str, x_MD: NDArray[np.float32], header: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """Under Projector."""
        self._writer.add_embedding(x_MD, metadata=[list(row) for row in rows], metadata_header=list(header), tag=name)

    def of_results(self) -> Board:
        """A run of its own in TensorBoard, RUN/results, which replaces that of an earlier end of the same run.

        TensorBoard keeps the first settings it finds in a folder, and a curve would end in a point of another model.
        """
        folder = Path(self._logger.log_dir)
        shutil.rmtree(folder / RESULTS, ignore_errors=True)
        return TensorBoard(TensorBoardLogger(folder, name=RESULTS, version="", default_hp_metric=False))

    def settings(self, settings: Settings, metrics: Mapping[str, float], step: int) -> None:
        """Under HParams, the metrics among the scalars too."""
        self._logger.log_hyperparams(dict(settings), dict(metrics), step=step)

    def close(self) -> None:
        """Write all of it down."""
        self._logger.save()
        self._writer.close()


class MLflow(Board):
    """A run of MLflow, whose artifacts are what is shown."""

    def __init__(self, logger: MLFlowLogger) -> None:
        """Add to the logger's run."""
        self._logger = logger

    def picture(self, name: str, drawn: bytes, step: int) -> None:
        """A PNG among the artifacts."""
        from PIL import Image

        with Image.open(io.BytesIO(drawn)) as image:
            self._logger.experiment.log_image(self._logger.run_id, image.convert("RGB"), f"{name}/{step:08}.png")

    def text(self, name: str, markdown: str, step: int) -> None:
        """A Markdown file among the artifacts."""
        self._logger.experiment.log_text(self._logger.run_id, markdown, f"{name}/{step:08}.md")

    def settings(self, settings: Settings, metrics: Mapping[str, float], step: int) -> None:
        """Parameters and metrics."""
        self._logger.log_hyperparams(dict(settings))
        self._logger.log_metrics(dict(metrics), step)

    def close(self) -> None:
        """Nothing to do: what is logged is written at once."""


class WeightsAndBiases(Board):
    """A run of Weights & Biases."""

    def __init__(self, logger: WandbLogger) -> None:
        """Add to the logger's run."""
        self._logger = logger

    def picture(self, name: str, drawn: bytes, step: int) -> None:
        """An image."""
        from PIL import Image

        with Image.open(io.BytesIO(drawn)) as image:
            self._logger.log_image(name, [image.convert("RGB")], step=step)

    def text(self, name: str, markdown: str, step: int) -> None:
        """A text."""
        import html

        import wandb

        shown: Any = wandb.Html(f"<pre>{html.escape(markdown)}</pre>")
        self._logger.log_metrics({name: shown}, step)

    def histogram(self, name: str, counts_K: NDArray[np.int64], step: int) -> None:
        """A histogram with a bin a code; of more codes than it can hold, neighbours are counted together."""
        import wandb

        bins = -(-len(counts_K) // 512)
        counts = np.add.reduceat(counts_K, np.arange(0, len(counts_K), bins))
        edges = np.append(np.arange(0, len(counts_K), bins), len(counts_K))
        shown: Any = wandb.Histogram(np_histogram=(counts, edges))
        self._logger.log_metrics({name: shown}, step)

    def settings(self, settings: Settings, metrics: Mapping[str, float], step: int) -> None:
        """Config and summary."""
        self._logger.log_hyperparams(dict(settings))
        self._logger.log_metrics(dict(metrics), step)

    def close(self) -> None:
        """End the run, so that the next one in this process is another."""
        self._logger.experiment.finish()


_BOARDS: tuple[tuple[type[Logger], Callable[[Any], Board]], ...] = (
    (TensorBoardLogger, TensorBoard),
    (MLFlowLogger, MLflow),
    (WandbLogger, WeightsAndBiases),
)


def boards_of(trainer: lightning.Trainer) -> list[Board]:
    """The boards of a trainer's loggers; none in a process other than the first."""
    if not trainer.is_global_zero:
        return []
    return [board(logger) for logger in trainer.loggers for kind, board in _BOARDS if isinstance(logger, kind)]


def last_step(trainer: lightning.Trainer) -> int:
    """The step that was made last, counted from 0, where scalars of the moment are shown, too."""
    return max(0, trainer.global_step - 1)


def forget(trainer: lightning.Trainer) -> None:
    """Remove what an earlier run has left in the folder of a logger, whose curves this one's would run into."""
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                shutil.rmtree(logger.log_dir, ignore_errors=True)


def show(boards: Sequence[Board], name: str, panels: Panels, step: int) -> None:
    """Draw panels once and show them on all boards."""
    if boards and panels:
        drawn = png(panels, columns=2)  # boards show pictures small, and rather square than wide
        for board in boards:
            board.picture(name, drawn, step)
