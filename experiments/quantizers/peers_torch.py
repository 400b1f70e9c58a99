"""vector-quantize-pytorch: ResidualVQ on the vectors themselves, and bottlenecks of an MLP autoencoder under Lightning.

Shape letters: N rows, B batch, D embedding, Z latent, L levels, K codes of a level.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from itertools import pairwise

import lightning
import numpy as np
import torch
from contract import Task, UnsuitedError
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from vector_quantize_pytorch import FSQ, ResidualFSQ, ResidualVQ

WIDTHS = (512, 256, 128)
"""Of the encoder's layers; the last is Z. The decoder mirrors them."""

FSQ_LEVELS = {256: [4, 4, 4, 4], 512: [8, 8, 8], 1024: [4, 4, 4, 4, 4], 4096: [4, 4, 4, 4, 4, 4]}
"""Numbers per dimension whose product is the size of a level."""


class Bottleneck(nn.Module):
    """What stands between encoder and decoder: latents to latents, with codes."""

    def forward(self, latents_BZ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantized latents B×Z, codes B×L, and the bottleneck's own loss."""
        raise NotImplementedError

    def decode(self, codes_BL: Tensor) -> Tensor:
        """Latents of codes, B×Z."""
        raise NotImplementedError


class ResidualVectors(Bottleneck):
    """ResidualVQ with moving averages, a k-means start and revival of dead codes."""

    def __init__(
        self,
        dim: int,
        level_sizes: tuple[int, ...],
        *,
        decay: float = 0.99,
        revive_below: float = 0.2,
        commitment_weight: float = 0.25,
        rotation_trick: bool | None = False,
    ) -> None:
        """Make it for latents of length ``dim``; ``revive_below`` counts rows of a batch.

        In an autoencoder a lighter commitment and the plain straight-through gradient served better than
        the library's defaults (1.0 and the rotation trick, None here); on bare vectors neither matters.
        """
        super().__init__()
        self.quantizer = ResidualVQ(
            dim=dim, codebook_size=level_sizes, kmeans_init=True, kmeans_iters=30, decay=decay,
            threshold_ema_dead_code=revive_below, commitment_weight=commitment_weight, rotation_trick=rotation_trick,
        )  # fmt: skip

    def forward(self, latents_BZ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize; in training mode the codebooks follow."""
        quantized_BZ, codes_BL, losses_L = self.quantizer(latents_BZ)
        return quantized_BZ, codes_BL, losses_L.sum()

    def decode(self, codes_BL: Tensor) -> Tensor:
        """The sum of the codewords given."""
        codebooks = zip(self.quantizer.codebooks, codes_BL.unbind(1), strict=False)
        return torch.stack([codebook_KZ[codes_B] for codebook_KZ, codes_B in codebooks]).sum(0)


class ResidualScalars(Bottleneck):
    """ResidualFSQ: every level rounds what is left over, in a few dimensions."""

    def __init__(self, dim: int, level_sizes: tuple[int, ...]) -> None:
        """Make it for latents of length ``dim``."""
        super().__init__()
        self.quantizer = ResidualFSQ(dim=dim, levels=fsq_levels(level_sizes), num_quantizers=len(level_sizes))

    def forward(self, latents_BZ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize."""
        quantized_B1Z, codes_B1L = self.quantizer(latents_BZ.unsqueeze(1))
        return quantized_B1Z.squeeze(1), codes_B1L.squeeze(1).long(), latents_BZ.new_zeros(())

    def decode(self, codes_BL: Tensor) -> Tensor:
        """Latents of whole codes."""
        latents_BZ: Tensor = self.quantizer.get_output_from_indices(codes_BL.unsqueeze(1)).squeeze(1)
        return latents_BZ


class Scalars(Bottleneck):
    """FSQ: a number in a dimension of its own for each small level, a group of dimensions for each large one."""

    def __init__(self, dim: int, level_sizes: tuple[int, ...]) -> None:
        """Make it for latents of length ``dim``."""
        super().__init__()
        self.grouped = max(level_sizes) > 16
        self.quantizer = (
            FSQ(fsq_levels(level_sizes), dim=dim, num_codebooks=len(level_sizes))
            if self.grouped
            else FSQ(list(level_sizes), dim=dim)
        )

    def forward(self, latents_BZ: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize."""
        quantized_B1Z, codes = self.quantizer(latents_BZ.unsqueeze(1))
        codes_BL = codes.squeeze(1) if self.grouped else self.quantizer.indices_to_level_indices(codes.squeeze(1))
        return quantized_B1Z.squeeze(1), codes_BL.long(), latents_BZ.new_zeros(())

    def decode(self, codes_BL: Tensor) -> Tensor:
        """Latents of whole codes."""
        basis_L: Tensor = self.quantizer._basis
        codes = codes_BL.unsqueeze(1) if self.grouped else (codes_BL * basis_L).sum(1, keepdim=True)
        latents_BZ: Tensor = self.quantizer.indices_to_codes(codes).squeeze(1)
        return latents_BZ


def fsq_levels(level_sizes: tuple[int, ...]) -> list[int]:
    """Numbers per dimension that make up each level."""
    if len(set(level_sizes)) > 1 or level_sizes[0] not in FSQ_LEVELS:
        raise UnsuitedError(f"no levels of numbers are known for the sizes {list(level_sizes)}")
    return FSQ_LEVELS[level_sizes[0]]


class Autoencoder(lightning.LightningModule):
    """MLP encoder, bottleneck, mirrored decoder; AdamW with a cosine schedule."""

    def __init__(self, dim: int, bottleneck: Bottleneck, learning_rate: float = 1e-3, open_epochs: int = 0) -> None:
        """Make it for vectors of length ``dim``; for the first ``open_epochs`` latents pass unquantized."""
        super().__init__()
        widths = [dim, *WIDTHS]
        self.encoder, self.decoder = perceptron(widths), perceptron(widths[::-1])
        self.bottleneck, self.learning_rate, self.open_epochs = bottleneck, learning_rate, open_epochs

    def on_train_epoch_start(self) -> None:
        """Show the bottleneck all vectors before its first batch, so that k-means starts from more than that."""
        if self.current_epoch == self.open_epochs:
            with torch.no_grad():
                self.bottleneck(self.encoder(self.trainer.train_dataloader.dataset.tensors[0]))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Reconstruction and the bottleneck's own loss."""
        del batch_idx
        latents_BZ = self.encoder(batch[0])
        if self.current_epoch < self.open_epochs:
            return nn.functional.mse_loss(self.decoder(latents_BZ), batch[0])
        quantized_BZ, _, loss = self.bottleneck(latents_BZ)
        return nn.functional.mse_loss(self.decoder(quantized_BZ), batch[0]) + loss

    def configure_optimizers(self) -> dict[str, object]:
        """AdamW; the rate falls to zero along a cosine."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=0.01)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def perceptron(widths: list[int]) -> nn.Sequential:
    """Linear layers with GELU between them."""
    layers = [part for narrow, wide in pairwise(widths) for part in (nn.Linear(narrow, wide), nn.GELU())]
    return nn.Sequential(*layers[:-1])


class FittedNetwork:
    """A bottleneck, and the networks around it if there are any, behind the common contract."""

    uncounted_cpu_seconds = 0.0

    def __init__(self, task: Task, bottleneck: Bottleneck, *, decodes_prefixes: bool) -> None:
        """Standardise by the mean and the overall scale of the training vectors."""
        self.level_sizes, self.decodes_prefixes = task.level_sizes, decodes_prefixes
        self.mean_D = torch.from_numpy(task.vectors.mean(0))
        self.scale = float((task.vectors - task.vectors.mean(0)).std())
        self.bottleneck = bottleneck
        self.encoder: Callable[[Tensor], Tensor] = nn.Identity()
        self.decoder: Callable[[Tensor], Tensor] = nn.Identity()

    def standardised(self, x_ND: NDArray[np.float32]) -> Tensor:
        """Vectors as the network takes them."""
        return (torch.from_numpy(x_ND) - self.mean_D) / self.scale

    @torch.no_grad()
    def encode(self, x_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """One index per level, N×L."""
        blocks = torch.split(self.standardised(x_ND), 1024)
        return torch.cat([self.bottleneck(self.encoder(block))[1] for block in blocks]).numpy()

    @torch.no_grad()
    def decode(self, codes_NL: NDArray[np.int64]) -> NDArray[np.float32]:
        """What codes stand for, N×D."""
        return (self.decoder(self.bottleneck.decode(torch.from_numpy(codes_NL))) * self.scale + self.mean_D).numpy()


def residual_vq(task: Task, *, epochs: int, batch_size: int = 1024) -> FittedNetwork:
    """ResidualVQ on the vectors themselves; its first batch, on which k-means starts, is all of them."""
    torch.manual_seed(task.seed)
    bottleneck = ResidualVectors(task.vectors.shape[1], task.level_sizes)
    fitted = FittedNetwork(task, bottleneck, decodes_prefixes=True)
    vectors_ND = fitted.standardised(task.vectors)
    with torch.no_grad():
        bottleneck(vectors_ND)
        for _ in range(epochs):
            for rows in torch.randperm(len(vectors_ND)).split(batch_size):
                bottleneck(vectors_ND[rows])
    bottleneck.eval()
    return fitted


def autoencoder(task: Task, *, kind: str, epochs: int, open_epochs: int = 0, batch_size: int = 1024) -> FittedNetwork:
    """An autoencoder around the bottleneck ``kind``: ``residual_vq``, ``residual_fsq`` or ``fsq``."""
    torch.manual_seed(task.seed)
    dim = WIDTHS[-1]
    bottleneck = {
        "residual_vq": lambda: ResidualVectors(dim, task.level_sizes),
        "residual_fsq": lambda: ResidualScalars(dim, task.level_sizes),
        "fsq": lambda: Scalars(dim, task.level_sizes),
    }[kind]()
    fitted = FittedNetwork(task, bottleneck, decodes_prefixes=False)
    module = Autoencoder(task.vectors.shape[1], bottleneck, open_epochs=open_epochs)
    vectors = TensorDataset(fitted.standardised(task.vectors))
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lightning.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=1.0,
        ).fit(module, DataLoader(vectors, batch_size=min(batch_size, len(task.vectors)), shuffle=True))  # fmt: skip
    module.eval()
    fitted.encoder, fitted.decoder = module.encoder, module.decoder
    return fitted
