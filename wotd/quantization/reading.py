"""A level that is taught what to say: its own linear view of the latent, and a key in it for each code.

Shape letters: N rows, B batch, K codes, M view, Z latent.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wotd.quantization.products import linear, squared_distances

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
    def start(self, latents_NZ: Tensor, labels_N: Tensor, *, shrinkage: float = 0.1) -> None:
        """Start at the discriminant directions of the labelled rows and the means of the labels.

        A label that no row bears gets a key far from all rows, so that it is never said.

        Args:
            latents_NZ: a large sample.
            labels_N: int64, -1 where unknown.
            shrinkage: share of the within-label scatter that is replaced by its mean variance.
        """
        known_N = labels_N >= 0
        x_NZ, one_hot_NK = latents_NZ[known_N].double(), nn.functional.one_hot(labels_N[known_N], self.size).double()
        counts_K = one_hot_NK.sum(0)
        present_K = counts_K > 0
        means_KZ = (one_hot_NK.T @ x_NZ) / counts_K.clamp_min(1).unsqueeze(1)
        # Every label counts the same in the scatter, as it does in the means: frequent ones do not rule.
        weight_N = (1 / counts_K.clamp_min(1))[labels_N[known_N]]
        residual_NZ = (x_NZ - means_KZ[labels_N[known_N]]) * weight_N.sqrt().unsqueeze(1)
        scatter_ZZ = residual_NZ.T @ residual_NZ / present_K.sum().clamp_min(1)
        variance = scatter_ZZ.diagonal().mean().clamp_min(1e-12)
        eye_ZZ = torch.eye(len(scatter_ZZ), dtype=torch.float64, device=scatter_ZZ.device)
        scatter_ZZ = (1 - shrinkage) * scatter_ZZ + shrinkage * variance * eye_ZZ
        values_Z, vectors_ZZ = torch.linalg.eigh(scatter_ZZ)
        whiten_ZZ = vectors_ZZ * values_Z.clamp_min(1e-12).rsqrt()
        centred_KZ = (means_KZ - means_KZ[present_K].mean(0))[present_K] @ whiten_ZZ
        _, _, directions = torch.linalg.svd(centred_KZ, full_matrices=False)
        view_MZ = (whiten_ZZ @ directions[: self.view_dim].T).T
        view_MZ = nn.functional.pad(view_MZ, (0, 0, 0, self.view_dim - len(view_MZ)))
        keys_KM = means_KZ @ view_MZ.T
        reach = (x_NZ @ view_MZ.T).norm(dim=1).max()
        keys_KM[~present_K] = _FAR * reach.clamp_min(1.0) / self.view_dim**0.5
        self.view_MZ.copy_(view_MZ)
        self.keys_KM.copy_(keys_KM)
