"""faiss: residual, additive (LSQ) and product quantizers.

faiss counts codes in bits, so level sizes are rounded up to powers of two; that favours it.
Shape letters: N rows, D embedding, L levels, K codes of a level.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from contract import Task, UnsuitedError
from numpy.typing import NDArray

faiss.omp_set_num_threads(1)

FAISS_POINTS, ALL_POINTS = 256, 10_000_000
"""Points per centroid that k-means looks at: faiss' default, by which 8 codes are learned from 2,048 rows; and all."""


class FaissQuantizer:
    """A faiss quantizer behind the common contract, after a rotation or none."""

    uncounted_cpu_seconds = 0.0

    def __init__(self, quantizer: Any, bits: list[int], *, decodes_prefixes: bool, rotation: Any = None) -> None:
        """Wrap a trained quantizer whose levels have so many bits."""
        self.quantizer, self.bits, self.rotation = quantizer, bits, rotation
        self.level_sizes = tuple(2**number for number in bits)
        self.decodes_prefixes = decodes_prefixes

    def encode(self, x_ND: NDArray[np.float32]) -> NDArray[np.int64]:
        """One index per level, N×L."""
        packed = self.quantizer.compute_codes(self.rotation.apply(x_ND) if self.rotation else x_ND)
        if set(self.bits) == {8}:
            return packed.astype(np.int64)
        return faiss.unpack_bitstrings(packed, self.bits).astype(np.int64)

    def decode(self, codes_NL: NDArray[np.int64]) -> NDArray[np.float32]:
        """What codes stand for; for an additive quantizer, the sum of the codewords given so far."""
        if self.decodes_prefixes:
            codebooks = faiss.vector_to_array(self.quantizer.codebooks).reshape(-1, self.quantizer.d)
            offsets = np.concatenate([[0], np.cumsum(self.level_sizes)])[: codes_NL.shape[1]]
            return codebooks[codes_NL + offsets].sum(1)
        packed = faiss.pack_bitstrings(codes_NL.astype(np.int32), self.bits)
        decoded = self.quantizer.decode(packed)
        return self.rotation.reverse_transform(decoded) if self.rotation else decoded


def residual(task: Task, *, beam: int, progressive: bool = True, refine: bool = False) -> FaissQuantizer:
    """Residual quantizer.

    Args:
        task: what to fit.
        beam: width of the search, in training and in encoding; 1 is greedy.
        progressive: k-means that raises the dimension step by step (faiss' default) and sees a row at
            every end of the beam; otherwise plain k-means that sees fewer of them.
        refine: refit all codebooks together to the codes, in rounds.
    """
    bits = [bits_of(size) for size in task.level_sizes]
    sizes = faiss.UInt64Vector()
    for number in bits:
        sizes.push_back(number)
    quantizer = faiss.ResidualQuantizer(task.vectors.shape[1], sizes)
    quantizer.max_beam_size = beam
    quantizer.train_type = faiss.ResidualQuantizer.Train_progressive_dim if progressive else 0
    if refine:
        quantizer.train_type |= faiss.ResidualQuantizer.Train_refine_codebook
    rows_per_code = len(task.vectors) // 2 ** min(bits) + 1
    quantizer.cp.max_points_per_centroid = ALL_POINTS if progressive else max(FAISS_POINTS, rows_per_code)
    quantizer.cp.seed = 1234 + task.seed
    quantizer.train(task.vectors)
    return FaissQuantizer(quantizer, bits, decodes_prefixes=True)


def lsq(task: Task, *, search_rounds: int = 16) -> FaissQuantizer:
    """Local search quantizer (LSQ++); levels have no order, so prefixes do not decode.

    Args:
        task: what to fit.
        search_rounds: of local search in encoding (faiss' default: 16).
    """
    bits = uniform_bits(task)
    quantizer = faiss.LocalSearchQuantizer(task.vectors.shape[1], len(bits), bits[0])
    quantizer.encode_ils_iters = search_rounds
    quantizer.random_seed = 0x12345 + task.seed
    quantizer.train(task.vectors)
    return FaissQuantizer(quantizer, bits, decodes_prefixes=False)


def product(task: Task, *, rotate: bool) -> FaissQuantizer:
    """Product quantizer, each level a slice of the vector, after a learned rotation (OPQ) or none."""
    bits, dimension = uniform_bits(task), task.vectors.shape[1]
    if dimension % len(bits):
        raise UnsuitedError(f"{dimension} dimensions cannot be cut into {len(bits)} equal slices")
    vectors, rotation = task.vectors, None
    if rotate:
        rotation = faiss.OPQMatrix(dimension, len(bits))
        rotation.pq = _product_quantizer(dimension, bits, task.seed)
        rotation.train(vectors)
        vectors = rotation.apply(vectors)
    quantizer = _product_quantizer(dimension, bits, task.seed)
    quantizer.train(vectors)
    return FaissQuantizer(quantizer, bits, decodes_prefixes=False, rotation=rotation)


def _product_quantizer(dimension: int, bits: list[int], seed: int) -> Any:
    quantizer = faiss.ProductQuantizer(dimension, len(bits), bits[0])
    quantizer.cp.max_points_per_centroid = ALL_POINTS
    quantizer.cp.seed = 1234 + seed
    return quantizer


def bits_of(size: int) -> int:
    """The bits that hold so many codes."""
    return (size - 1).bit_length()


def uniform_bits(task: Task) -> list[int]:
    """The bits of the largest level, on every level."""
    return [max(map(bits_of, task.level_sizes))] * len(task.level_sizes)
