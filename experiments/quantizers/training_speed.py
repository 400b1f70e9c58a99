"""How many rows a second does training take in, beside a bare loop and beside what a user would write?

python experiments/quantizers/training_speed.py --output OUT
python experiments/quantizers/training_speed.py --profile 64      where the time of our step goes

One core; an MLP 384-512-256-128 and its mirror around 4 × 256 codes; rows drawn from a seed. The loops, in
turn and several times over: a bare loop (moving averages, fused AdamW) around a plain MLP; the same around the networks
of wotd, which have a linear map beside the MLP; wotd as ``train_wotd_pipeline`` runs it; and vector-quantize-pytorch
under Lightning. Each is timed over its second epoch, validation and saving left out.
Needs what `pip install 'wotd[bench]'` brings.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import lightning
import numpy as np
import torch
import torch.utils.tensorboard  # imported where a run first logs
from lightning.pytorch.callbacks import Callback
from peers_torch import Autoencoder, ResidualVectors, perceptron
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from wotd.encoders.mlp import CorrectedLinear
from wotd.pipeline import train_wotd_pipeline

DIMENSION, WIDTHS, LEVEL_SIZES = 384, [512, 256, 128], (256, 256, 256, 256)
BATCH_SIZES = (64, 128, 1024)


class Stopwatch(Callback):
    """CPU seconds and rows from the first batch of the second epoch to its last one."""

    rows, cpu_seconds = 0, 0.0

    def __init__(self, profile: bool = False) -> None:
        """Time, and with ``profile`` also trace the operations of those batches."""
        self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) if profile else None

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start with the second epoch."""
        del pl_module, batch
        if trainer.current_epoch == 1 and batch_idx == 0:
            Stopwatch.rows = 0
            if self.profiler:
                self.profiler.start()
            self.started = time.process_time()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time after each batch; that of the last one stays."""
        del pl_module, outputs
        if trainer.current_epoch == 1:
            Stopwatch.rows += len(batch[0])
            Stopwatch.cpu_seconds = time.process_time() - self.started
            if self.profiler and batch_idx + 1 == trainer.num_training_batches:
                self.profiler.stop()
                print(self.profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


class ProfilingStopwatch(Stopwatch):
    """A stopwatch that also traces."""

    def __init__(self) -> None:
        """Trace."""
        super().__init__(profile=True)


class MinimalQuantizer(nn.Module):
    """Residual quantization in as few operations as it takes: codebooks by moving averages, straight-through."""

    def __init__(self, dim: int, level_sizes: tuple[int, ...], decay: float = 0.99) -> None:
        """Start at random codewords."""
        super().__init__()
        self.decay = decay
        self.codebooks = [torch.randn(size, dim) for size in level_sizes]
        self.sums = [codebook_KZ.clone() for codebook_KZ in self.codebooks]
        self.counts = [torch.ones(size) for size in level_sizes]

    def forward(self, latents_BZ: Tensor) -> tuple[Tensor, Tensor]:
        """Quantized latents, B×Z, and the commitment loss."""
        residuals_BZ, ones_B = latents_BZ.detach(), torch.ones(len(latents_BZ))
        with torch.no_grad():
            for codebook_KZ, sums_KZ, counts_K in zip(self.codebooks, self.sums, self.counts, strict=True):
                squares_K = codebook_KZ.square().sum(1)
                codes_B = torch.addmm(squares_K, residuals_BZ, codebook_KZ.T, alpha=-2).argmin(1)
                codeword_BZ = codebook_KZ[codes_B]
                counts_K.mul_(self.decay).index_add_(0, codes_B, ones_B, alpha=1 - self.decay)
                sums_KZ.mul_(self.decay).index_add_(0, codes_B, residuals_BZ, alpha=1 - self.decay)
                torch.div(sums_KZ, counts_K.clamp_min(1e-6).unsqueeze(1), out=codebook_KZ)
                residuals_BZ = residuals_BZ - codeword_BZ
        quantized_BZ = latents_BZ.detach() - residuals_BZ
        commitment = nn.functional.mse_loss(latents_BZ, quantized_BZ)
        return latents_BZ + (quantized_BZ - latents_BZ).detach(), commitment


def plain_networks() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder as one would write them first."""
    widths = [DIMENSION, *WIDTHS]
    return perceptron(widths), perceptron(widths[::-1])


def our_networks() -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder of wotd: the same, each beside a linear map."""
    *hidden, latent_dim = WIDTHS
    encoder = CorrectedLinear(DIMENSION, hidden, latent_dim)
    return encoder, CorrectedLinear(latent_dim, hidden[::-1], DIMENSION)


def bare_loop(vectors_ND: Tensor, batch_size: int, networks: Callable[[], tuple[nn.Module, nn.Module]]) -> float:
    """Rows per CPU second of the least loop that trains such networks around a quantizer."""
    encoder, decoder = networks()
    quantizer = MinimalQuantizer(WIDTHS[-1], LEVEL_SIZES)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True)
    for _ in range(2):
        batches = vectors_ND[torch.randperm(len(vectors_ND))].split(batch_size)
        started = time.process_time()
        for batch_BD in batches:
            quantized_BZ, commitment = quantizer(encoder(batch_BD))
            loss = nn.functional.mse_loss(decoder(quantized_BZ), batch_BD) + commitment
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds = time.process_time() - started
    return len(vectors_ND) / seconds


def wotd_pipeline(vectors_ND: Tensor, batch_size: int, stopwatch: str = "Stopwatch") -> float:
    """Rows per CPU second of the pipeline's training, callbacks and logger as they come."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, vectors_ND.numpy())
        train_wotd_pipeline(
            [
                "+experiment=deep", f"data.vectors='{path}'", f"data.batch_size={batch_size}", "trainer.max_epochs=2",
                f"model.level_sizes={list(LEVEL_SIZES)}", f"model.latent_dim={WIDTHS[-1]}",
                f"model.hidden={WIDTHS[:-1]}", "model.quantizer.start_iterations=1", "data.val_fraction=0.02",
                "data.test_fraction=0", "model.dropout=0", "~callbacks.progress",
                f"+callbacks.stopwatch._target_=training_speed.{stopwatch}",
            ],
            Path(folder) / "run",
        )  # fmt: skip
    import training_speed  # the class that the config named, which is another one where this file is the script

    return training_speed.Stopwatch.rows / training_speed.Stopwatch.cpu_seconds


class LoggingAutoencoder(Autoencoder):
    """The autoencoder as one would write it first: a few values logged each step, clipping left out."""

    def on_train_epoch_start(self) -> None:
        """Let k-means start from the first batch."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Reconstruction and commitment, both logged, and their sum."""
        del batch_idx
        quantized_BZ, codes_BL, commitment = self.bottleneck(self.encoder(batch[0]))
        reconstruction = nn.functional.mse_loss(self.decoder(quantized_BZ), batch[0])
        loss = reconstruction + commitment
        used = float(len(codes_BL[:, 0].unique()))
        self.log_dict({"loss": loss, "reconstruction": reconstruction, "commitment": commitment, "used": used})
        return loss


def peer_under_lightning(vectors_ND: Tensor, batch_size: int) -> float:
    """Rows per CPU second of vector-quantize-pytorch's ResidualVQ in an autoencoder under Lightning."""
    bottleneck = ResidualVectors(WIDTHS[-1], LEVEL_SIZES, revive_below=0.02, commitment_weight=1.0, rotation_trick=None)
    module = LoggingAutoencoder(DIMENSION, bottleneck)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", default_root_dir=folder, callbacks=[Stopwatch()],
            logger=lightning.pytorch.loggers.TensorBoardLogger(folder), enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, DataLoader(TensorDataset(vectors_ND), batch_size=batch_size, shuffle=True, drop_last=True))
    return Stopwatch.rows / Stopwatch.cpu_seconds


LOOPS: dict[str, Callable[[Tensor, int], float]] = {
    "bare loop": partial(bare_loop, networks=plain_networks),
    "bare loop, our networks": partial(bare_loop, networks=our_networks),
    "wotd": wotd_pipeline,
    "vector-quantize-pytorch under Lightning": peer_under_lightning,
}


def measure(rows: int, batch_sizes: list[int], repeats: int) -> dict[str, dict[str, list[float]]]:
    """By batch size and loop, rows per CPU second of each repeat, the loops in turn."""
    vectors_ND = torch.randn(rows, DIMENSION, generator=torch.Generator().manual_seed(0))
    rates: dict[str, dict[str, list[float]]] = {}
    for batch_size in batch_sizes:
        for _ in range(repeats):
            for name, loop in LOOPS.items():
                torch.manual_seed(0)
                rates.setdefault(str(batch_size), {}).setdefault(name, []).append(loop(vectors_ND, batch_size))
                print(batch_size, name, round(rates[str(batch_size)][name][-1]), flush=True)
    return rates


def table(rates: dict[str, dict[str, list[float]]]) -> str:
    """The best and the median of each, and how ours stands to the others by the best and by the median."""
    others = [name for name in LOOPS if name != "wotd"]
    lines = [f"| batch | {' | '.join(LOOPS)} | {' | '.join(f'wotd / {name}' for name in others)} |"]
    lines.append("|---" * (1 + len(LOOPS) + len(others)) + "|")
    for batch_size, loops in rates.items():
        figures = {name: (max(values), median(values)) for name, values in loops.items()}
        own = figures["wotd"]
        cells = [f"{best:,.0f} ({middle:,.0f})" for best, middle in figures.values()]
        cells += [f"{own[0] / figures[name][0]:.2f} ({own[1] / figures[name][1]:.2f})" for name in others]
        lines.append(f"| {batch_size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print, or profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=list(BATCH_SIZES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a folder for training_speed.json")
    parser.add_argument("--profile", type=int, metavar="BATCH_SIZE", help="trace our steps instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("wotd", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if arguments.profile:
        vectors_ND = torch.randn(arguments.rows, DIMENSION, generator=torch.Generator().manual_seed(0))
        wotd_pipeline(vectors_ND, arguments.profile, "ProfilingStopwatch")
        return
    rates = measure(arguments.rows, arguments.batch_sizes, arguments.repeats)
    print(table(rates))
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "training_speed.json").write_text(json.dumps(rates, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
