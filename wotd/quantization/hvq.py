"""The hierarchical vector quantizer: a code level by level, read off labels or free, found by beam search.

Shape letters: N rows, B batch, L levels, K codes of a level, Z latent, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from wotd.errors import ConfigurationError, TrainingError
from wotd.quantization.codewords import Codewords, levels_with_table
from wotd.quantization.derived import Derived
from wotd.quantization.fitting import fit_codewords
from wotd.quantization.kmeans import assign, kmeans, means
from wotd.quantization.quantized import Quantized
from wotd.quantization.reading import LevelReading
from wotd.quantization.ridge import CodewordRidge
from wotd.quantization.search import CodewordSearch
from wotd.quantization.walk import walk

_CHUNK_ROWS = 4096


class HierarchicalVectorQuantizer(nn.Module):
    """A code level by level; every prefix of it stands for something, where levels are free the finer the longer it is.

    A *free* level says what brings the code nearest to the latent. A *taught* level says what its
    own view of the latent takes for the label (:class:`LevelReading`), unless another code of
    little less probability comes nearer. Codewords are fitted in closed form
    (:mod:`wotd.quantization.fitting`), codes are found by a beam search over both
    (:class:`CodewordSearch`).

    Source: residual quantization as in Y. Chen et al., "Approximate Nearest Neighbor Search by
    Residual Vector Quantization" (2010); see the modules it is made of for the rest.
    """

    log_sharpness_L: Tensor
    variance: Tensor
    started: Tensor

    def __init__(
        self,
        dim: int,
        level_sizes: Sequence[int],
        *,
        feature_dim: int = 0,
        taught: Sequence[int] = (),
        beam: int = 4,
        fit_beam: int | None = None,
        rounds: int = 10,
        max_prefixes: int = 4096,
        ridge: float = 3.0,
        prefix_ridge: float = 64.0,
        prefix_weight: float = 0.0,
        reconstruction_weight: float = 2.5,
        revive_below: float = 0.02,
        start_iterations: int = 5,
    ) -> None:
        """Make an unstarted quantizer.

        Args:
            dim: Z.
            level_sizes: codes per level.
            feature_dim: F, numbers beside the latent that taught levels also look at.
            taught: indices of the levels that are taught by labels.
            beam: prefixes that the search for a code keeps from level to level; 1 is greedy.
            fit_beam: that width while codewords are fitted; None: as wide as ``beam``.
            rounds: how often the start gives codes anew.
            max_prefixes: levels with at most so many prefixes get a table of what each stands for.
            ridge: penalty of a codeword, in rows.
            prefix_ridge: penalty, in rows, of what sets a prefix apart from the sum of its codewords.
            prefix_weight: what the squared error of each shorter prefix counts, as a share of that of the code;
                more of it makes prefixes stand for more, and whole codes for less.
            reconstruction_weight: what the squared error of a code, in shares of the variance, counts
                against the log probabilities (nats) that taught levels give its indices.
            revive_below: use, as a share of an even share, below which a free level's code is moved.
            start_iterations: of k-means, per level.

        Raises:
            ConfigurationError: if a number is out of range.
        """
        super().__init__()
        fit_beam = beam if fit_beam is None else fit_beam
        for name, number, least in (
            ("beam", beam, 1), ("fit_beam", fit_beam, 1), ("rounds", rounds, 0), ("max_prefixes", max_prefixes, 1),
            ("start_iterations", start_iterations, 1),
        ):  # fmt: skip
            if number < least:
                raise ConfigurationError(f"model.quantizer.{name} is {number}; expected {least} or more.")
        if not 0 < reconstruction_weight < math.inf:
            raise ConfigurationError(
                f"model.quantizer.reconstruction_weight is {reconstruction_weight}; expected more than 0, and finite."
            )
        if not 0 <= prefix_weight < math.inf:
            raise ConfigurationError(
                f"model.quantizer.prefix_weight is {prefix_weight}; expected 0 or more, and finite."
            )
        if not 0 <= revive_below < 1:
            raise ConfigurationError(
                f"model.quantizer.revive_below is {revive_below}; expected 0 or more and less than 1."
            )
        if strange := [level for level in taught if not 0 <= level < len(level_sizes)]:
            raise ConfigurationError(
                f"model.quantizer.taught names the levels {strange}; there are levels 0 to {len(level_sizes) - 1}."
            )
        self.dim, self.level_sizes = dim, tuple(int(size) for size in level_sizes)
        self.taught = tuple(sorted(int(level) for level in taught))
        self.beam, self.fit_beam = beam, fit_beam
        self.rounds, self.start_iterations = rounds, start_iterations
        self.prefix_weight = prefix_weight
        self.reconstruction_weight, self.revive_below = reconstruction_weight, revive_below
        self.tables = levels_with_table(self.level_sizes, max_prefixes)
        self._ridge = CodewordRidge(
            self.level_sizes, self.tables, ridge=ridge, prefix_ridge=prefix_ridge, prefix_weight=prefix_weight
        )
        for level, points in enumerate(self._shapes()):
            self.register_buffer(f"points_{level}", torch.zeros(points, dim))
        self.readings = nn.ModuleDict(
            {str(level): LevelReading(self.level_sizes[level], dim + feature_dim) for level in self.taught}
        )
        self.register_buffer("log_sharpness_L", torch.zeros(len(self.level_sizes)))
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("started", torch.tensor(False))
        self._options = {
            "feature_dim": feature_dim, "beam": beam, "fit_beam": fit_beam, "rounds": rounds,
            "max_prefixes": max_prefixes, "ridge": ridge, "prefix_ridge": prefix_ridge,
            "prefix_weight": prefix_weight, "reconstruction_weight": reconstruction_weight,
            "revive_below": revive_below, "start_iterations": start_iterations,
        }  # fmt: skip
        self._search = Derived(self._make_search)
        self._search_through = Derived(self._make_search_through)

    def _make_search(self, *points: Tensor) -> CodewordSearch:
        return CodewordSearch(self._codewords_of(points))

    def _make_search_through(self, weight_ZX: Tensor, bias_Z: Tensor, scale: Tensor, *points: Tensor) -> CodewordSearch:
        return CodewordSearch(self._codewords_of(points), weight_ZX / scale, bias_Z)

    def _shapes(self) -> list[int]:
        """Rows of each level's points: all prefixes where it has a table, else its codes."""
        shapes, prefixes = [], 1
        for level, size in enumerate(self.level_sizes):
            prefixes *= size
            shapes.append(prefixes if level < self.tables else size)
        return shapes

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild it."""
        return {"taught": list(self.taught), **self._options}

    @property
    def encode_mode(self) -> str:
        """How codes are found, as artifacts record it."""
        return "greedy" if self.beam == 1 else f"beam {self.beam}"

    @property
    def initialised(self) -> bool:
        """Whether it has been started."""
        return bool(self.started)

    @property
    def free(self) -> tuple[int, ...]:
        """The levels that no label teaches."""
        return tuple(level for level in range(len(self.level_sizes)) if level not in self.taught)

    @property
    def _points(self) -> list[Tensor]:
        return [getattr(self, f"points_{level}") for level in range(len(self.level_sizes))]

    def _codewords_of(self, points: Sequence[Tensor]) -> Codewords:
        return Codewords(self.level_sizes, points[: self.tables], points[self.tables :])

    @property
    def codewords(self) -> Codewords:
        """What codes stand for, at present."""
        return self._codewords_of(self._points)

    @property
    def search(self) -> CodewordSearch:
        """The search for codes of latents, at present."""
        return self._search.of(*self._points)

    def _adopt(self, codewords: Codewords) -> None:
        for level, points in enumerate((*codewords.tables, *codewords.added)):
            getattr(self, f"points_{level}").copy_(points)
        self.started.fill_(True)

    @property
    def sharpness(self) -> Tensor:
        """Per level, what distances are multiplied with to become logits."""
        return self.log_sharpness_L.clamp(-20, 20).exp()

    def train(self, mode: bool = True) -> Self:
        """Switch between training and eval mode; what was derived of the encoder's weights does not outlast it."""
        self._search_through.forget()
        return super().train(mode)

    # --- reading and searching

    def _readings(self, latents_BZ: Tensor, features_BF: Tensor | None) -> dict[int, Tensor]:
        """Per taught level the squared distances to its keys, B×K."""
        seen = latents_BZ if features_BF is None else torch.cat([latents_BZ, features_BF], 1)
        return {level: self.readings[str(level)].distances(seen) for level in self.taught}  # type: ignore[operator]

    def _cost(self, readings: dict[int, Tensor]) -> dict[str, Any]:
        """What saying a code costs beside its distance, and how much that counts, as the search takes them."""
        if not readings:
            return {}
        sharpness = self.sharpness
        surprise = [
            -torch.log_softmax(-readings[level] * sharpness[level], 1) if level in readings else None
            for level in range(len(self.level_sizes))
        ]
        return {"surprise": surprise, "weight": self.reconstruction_weight / float(self.variance)}

    @torch.no_grad()
    def encode(self, latents_BZ: Tensor, features_BF: Tensor | None = None, *, beam: int | None = None) -> Tensor:
        """Codes of latents, int64 B×L; ``beam`` in place of its own width."""
        cost = self._cost(self._readings(latents_BZ, features_BF))
        width = self.beam if beam is None else beam
        return self.search.search(latents_BZ, width, prefix_weight=self.prefix_weight, **cost)

    @torch.no_grad()
    def encode_through(self, linear: nn.Linear, scale: Tensor, rows_BX: Tensor, *, beam: int | None = None) -> Tensor:
        """Codes of the latents ``linear(rows / scale)``, B×L, without making them; where no level is taught."""
        search = self._search_through.of(linear.weight, linear.bias, scale, *self._points)
        return search.search(rows_BX, self.beam if beam is None else beam, prefix_weight=self.prefix_weight)

    def decode(self, codes_BL: Tensor) -> Tensor:
        """What codes, or prefixes of codes, stand for, B×Z."""
        return self.codewords.decode(codes_BL)

    def forward(
        self, latents_BZ: Tensor, features_BF: Tensor | None = None, codes_BL: Tensor | None = None
    ) -> Quantized:
        """Quantize a batch: by these codes, or greedily in training mode, for speed, or as :meth:`encode` does."""
        # Under autocast, half-precision distances could not tell near codewords apart.
        with torch.autocast(latents_BZ.device.type, enabled=False):
            latents_BZ = latents_BZ.float()
            readings = self._readings(latents_BZ, None if features_BF is None else features_BF.float())
            with torch.no_grad():
                cost = self._cost({level: distances_BK.detach() for level, distances_BK in readings.items()})
                search = self.search
                if codes_BL is None and not self.training:
                    codes_BL = search.search(latents_BZ, self.beam, prefix_weight=self.prefix_weight, **cost)
            codes_BL, distances, left_B = walk(search, latents_BZ, codes_BL, **cost)
            stands_for_BZ = self.decode(codes_BL)
            quantized_BZ = latents_BZ + (stands_for_BZ - latents_BZ).detach()  # its value, the gradient of the latents
        told = tuple(readings.get(level, distances_BK) for level, distances_BK in enumerate(distances))
        return Quantized(codes_BL, quantized_BZ, left_B.mean() / self.variance, told)

    # --- fitting

    @torch.no_grad()
    def start(
        self,
        latents_NZ: Tensor,
        generator: torch.Generator,
        labels_NL: Tensor | None = None,
        features_NF: Tensor | None = None,
        *,
        on_round: Callable[[], object] = lambda: None,
    ) -> None:
        """Start the readings at the labels and free levels at k-means of what is left over; then :meth:`fit`.

        Residuals get length 1 before k-means: rows that are far off would otherwise claim codes for
        themselves, and later levels starve.

        Args:
            latents_NZ: a large sample of latents.
            generator: decides the k-means seeds and the folds.
            labels_NL: labels of the taught levels, -1 where unknown.
            features_NF: features of the rows, if taught levels look at some.
            on_round: is called after each of ``rounds`` rounds.

        Raises:
            TrainingError: if a taught level has no label at all, or a free one too few rows.
        """
        seen = latents_NZ if features_NF is None else torch.cat([latents_NZ, features_NF], 1)
        for level in self.taught:
            if labels_NL is None or not bool((labels_NL[:, level] >= 0).any()):
                raise TrainingError(f"level {level} is to be taught by labels, but no training passage has one.")
            reading: LevelReading = self.readings[str(level)]  # type: ignore[assignment]
            self.log_sharpness_L[level] = reading.start(seen, labels_NL[:, level])
        self.restart(latents_NZ, generator, features_NF, on_round=on_round)

    @torch.no_grad()
    def restart(
        self,
        latents_NZ: Tensor,
        generator: torch.Generator,
        features_NF: Tensor | None = None,
        *,
        on_round: Callable[[], object] = lambda: None,
    ) -> None:
        """Start all codewords anew; what taught levels have learned to read stays.

        Raises:
            TrainingError: if there are fewer rows than a free level has codes.
        """
        readings = self._readings(latents_NZ, features_NF)
        left_NZ, codes = latents_NZ, []
        for level, size in enumerate(self.level_sizes):
            if level in readings:
                codes_N = readings[level].argmin(1)
            else:
                directions_NZ = nn.functional.normalize(left_NZ) if level else left_NZ
                centroids_KZ = kmeans(directions_NZ, size, generator, iterations=self.start_iterations)
                codes_N = assign(directions_NZ, centroids_KZ)
            left_NZ = left_NZ - means(left_NZ, codes_N, size)[0][codes_N]
            codes.append(codes_N)
        self._fit(latents_NZ, features_NF, torch.stack(codes, 1), generator, self.rounds, on_round)

    @torch.no_grad()
    def fit(
        self, latents_NZ: Tensor, generator: torch.Generator, features_NF: Tensor | None = None, *, rounds: int = 1
    ) -> None:
        """Let the codewords follow latents that have moved since: codes as they are now, and so many rounds on."""
        parts = zip(torch.split(latents_NZ, _CHUNK_ROWS), _split(features_NF, len(latents_NZ)), strict=True)
        codes_NL = torch.cat([self.encode(latents, features) for latents, features in parts])
        self._fit(latents_NZ, features_NF, codes_NL, generator, rounds, lambda: None)

    def _fit(
        self,
        latents_NZ: Tensor,
        features_NF: Tensor | None,
        codes_NL: Tensor,
        generator: torch.Generator,
        rounds: int,
        on_round: Callable[[], object],
    ) -> None:
        self.variance.copy_(latents_NZ.square().sum(1).mean().clamp_min(1e-12))

        def code(codewords: Codewords, rows_n: Tensor) -> Tensor:
            search, parts = CodewordSearch(codewords), []
            for rows in torch.split(rows_n, _CHUNK_ROWS):
                features = None if features_NF is None else features_NF[rows]
                cost = self._cost(self._readings(latents_NZ[rows], features))
                parts.append(search.search(latents_NZ[rows], self.fit_beam, prefix_weight=self.prefix_weight, **cost))
            return torch.cat(parts)

        self._adopt(
            fit_codewords(
                self._ridge, latents_NZ, codes_NL, code, generator, rounds=rounds, movable=self.free,
                revive_below=self.revive_below, on_round=on_round,
            )
        )  # fmt: skip

    @torch.no_grad()
    def permute(self, level: int, permutation_K: Tensor) -> None:
        """Rename the codes of a free level: code k is called ``permutation_K[k]`` from now on.

        Raises:
            ConfigurationError: if there is no such level, it is taught, or that is no permutation of its codes.
        """
        if level not in self.free:
            raise ConfigurationError(
                f"level is {level}; only the codes of free levels can be renamed, which are {list(self.free)}, for "
                f"those of a taught level are its labels."
            )
        size, permutation_K = self.level_sizes[level], permutation_K.to(self.variance.device)
        if permutation_K.sort().values.tolist() != list(range(size)):
            raise ConfigurationError(f"permutation is {permutation_K.tolist()}; expected each of 0 to {size - 1} once.")
        for later in range(level, self.tables if level < self.tables else level + 1):
            points = getattr(self, f"points_{later}")
            axis = level if later < self.tables else 0
            by_code = points.view(*self.level_sizes[: later + 1], self.dim) if later < self.tables else points
            by_code.index_copy_(axis, permutation_K, by_code.clone())


def _split(features_NF: Tensor | None, rows: int) -> list[Tensor | None]:
    if features_NF is None:
        return [None] * max(1, -(-rows // _CHUNK_ROWS))
    return list(torch.split(features_NF, _CHUNK_ROWS))
