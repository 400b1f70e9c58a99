"""A level that is taught what to say: its own linear view of the latent, and a key in it for each code.

Shape letters: N rows, B batch, K codes, M view, Z latent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from wotd.quantization.kmeans import means
from wotd.quantization.products import linear, squared_distances

SHRINKAGE = 0.05
"""Share of the within-label scatter that its mean variance replaces."""

_FOLDS = 8
_LOG_EXPECTED = math.log(0.5)
"""Half a squared distance in whitened space is what a normal distribution loses in log probability."""

_CALIBRATION_ROWS = 8192

_FAR = 10.0
"""How many times farther out than the farthest labelled row lies the key of a label that never occurs."""


class LevelReading(nn.Module):
    """Chooses a code by the nearest of K keys in a view of the latent that tells the labels apart.

    The view starts in closed form as linear discriminant analysis, where the nearest class mean is
    the likeliest label under equal priors; gradients of the alignment loss go on from there.

    Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems" (1936); shrinkage
    of the scatter towards its mean variance as in J. H. Friedman, "Regularized Discriminant
    Analysis" (1989).
    """

    def __init__(self, size: int, dim: int) -> None:
        """Make an unstarted reading of K = ``size`` codes from latents of length ``dim``."""
        super().__init__()
        self.size, self.view_dim = size, min(size - 1, dim)
        self.view_MZ = nn.Parameter(torch.zeros(self.view_dim, dim))
        self.keys_KM = nn.Parameter(torch.zeros(size, self.view_dim))

    def distances(self, latents_BZ: Tensor) -> Tensor:
        """Squared distances of the latents' views to the keys, B×K."""
        return squared_distances(linear(latents_BZ, self.view_MZ), self.keys_KM)

    @torch.no_grad()
    def start(self, latents_NZ: Tensor, labels_N: Tensor) -> float:
        """Start at the discriminant directions of the labelled rows and the means of the labels.

        A label that no row bears gets a key far from all rows, so that it is never said.

        Args:
            latents_NZ: a large sample, work after work.
            labels_N: int64, -1 where unknown.

        Returns:
            the logarithm of the sharpness under which distances tell labels of other works best: folds
            of neighbouring rows are read by the others' views, so that hardly a work is on both sides.
        """
        known_N = labels_N >= 0
        x_NZ, labels_N = latents_NZ[known_N], labels_N[known_N]
        view_MZ, keys_KM = discriminant(x_NZ, labels_N, self.size, self.view_dim)
        self.view_MZ.copy_(view_MZ)
        self.keys_KM.copy_(keys_KM)
        distances, labels = [], []
        for fold in torch.arange(len(x_NZ), device=x_NZ.device).tensor_split(_FOLDS):
            others = torch.ones(len(x_NZ), dtype=torch.bool, device=x_NZ.device)
            others[fold] = False
            fold = fold[torch.isin(labels_N[fold], labels_N[others])]
            if len(fold):
                view_MZ, keys_KM = discriminant(x_NZ[others], labels_N[others], self.size, self.view_dim)
                distances.append(squared_distances(x_NZ[fold] @ view_MZ.T, keys_KM))
                labels.append(labels_N[fold])
        return likeliest_log_sharpness(torch.cat(distances), torch.cat(labels)) if distances else _LOG_EXPECTED


def discriminant(x_NZ: Tensor, labels_N: Tensor, size: int, view_dim: int) -> tuple[Tensor, Tensor]:
    """View (M×Z) and keys (K×M) by which linear discriminant analysis tells the labels of rows apart."""
    means_KZ, counts_K = means(x_NZ, labels_N, size)
    present_K = counts_K > 0
    # Every row counts the same in the scatter: a label of few authors would say too little of how authors differ.
    residual_NZ = x_NZ - means_KZ[labels_N]
    scatter_ZZ = (residual_NZ.T @ residual_NZ).double() / max(1, len(x_NZ))
    values_Z, vectors_ZZ = torch.linalg.eigh(scatter_ZZ)
    values_Z = torch.lerp(values_Z, values_Z.mean(), SHRINKAGE)
    whiten_ZZ = vectors_ZZ * values_Z.clamp_min(1e-12).rsqrt()
    means_KZ = means_KZ.double()
    centred_KZ = (means_KZ - means_KZ[present_K].mean(0))[present_K] @ whiten_ZZ
    _, _, directions = torch.linalg.svd(centred_KZ, full_matrices=False)
    view_MZ = (whiten_ZZ @ directions[:view_dim].T).T
    view_MZ = nn.functional.pad(view_MZ, (0, 0, 0, view_dim - len(view_MZ)))
    keys_KM = means_KZ @ view_MZ.T
    farthest = (x_NZ @ view_MZ.T.to(x_NZ.dtype)).norm(dim=1).max().double()
    keys_KM[~present_K] = _FAR * farthest.clamp_min(1.0) / view_dim**0.5
    return view_MZ.to(x_NZ.dtype), keys_KM.to(x_NZ.dtype)


def likeliest_log_sharpness(distances_NK: Tensor, labels_N: Tensor) -> float:
    """The logarithm of the sharpness under which labels are likeliest given the distances.

    Source: temperature scaling, C. Guo et al., "On Calibration of Modern Neural Networks" (2017).
    """
    count = min(len(labels_N), _CALIBRATION_ROWS)
    spread = torch.arange(count, device=labels_N.device) * len(labels_N) // count
    distances_NK, labels_N = distances_NK[spread], labels_N[spread]
    log_unit = math.log(float(distances_NK.topk(2, largest=False).values.diff().mean().clamp_min(1e-12)))
    candidates = [step / 8 - log_unit for step in range(-24, 33)]
    losses = [float(nn.functional.cross_entropy(-distances_NK * math.exp(c), labels_N)) for c in candidates]
    return candidates[losses.index(min(losses))]
