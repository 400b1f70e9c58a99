"""A retrained model's codes under the names that earlier artifacts gave them, and how much still changed.

Two trainings may find the same groups and number them differently. On free levels, whose indices mean
nothing by themselves, the encoder is changed so that it says the earlier numbers; levels that labels
taught are left alone, since their indices are the taxonomy's.

Shape letters: N rows of the new data, M of them that the earlier artifacts know too, D embedding, L levels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from wotd.artifacts import (
    CODES,
    RESULTS,
    SEMANTIC_IDS,
    Artifacts,
    copy_files,
    save_encoder,
    seal,
    write_json,
    write_works,
    writing,
)
from wotd.collision_policy import published_id
from wotd.embeddings.fingerprint import Fingerprint
from wotd.encoders import SemanticEncoder
from wotd.errors import ArtifactError
from wotd.evaluation import encode_vectors
from wotd.metrics import Churn, churn, match_codes, rename_codes
from wotd.publication import code_column
from wotd.quantization import FiniteScalarQuantizer
from wotd.report import write_report
from wotd.semantic_ids import SemanticID


@dataclass(frozen=True)
class EarlierCodes:
    """What earlier artifacts say of passages that a new model codes too.

    Attributes:
        folder: the artifacts.
        matched_by: ``vectors`` where both models coded the same embeddings, ``texts`` where the passages were found
            among those that the artifacts hold.
        rows_M: which rows of the new data they are.
        codes_ML: their codes there.
    """

    folder: Path
    matched_by: str
    rows_M: NDArray[np.int64]
    codes_ML: NDArray[np.int64]


@dataclass(frozen=True)
class Alignment:
    """What aligning did.

    Attributes:
        earlier: what the codes were matched with.
        permutations: per level the new index of each code, as :func:`wotd.metrics.match_codes` gives it.
        before: how many passages would have changed their code.
        after: how many still do.
    """

    earlier: EarlierCodes
    permutations: Sequence[NDArray[np.int64]]
    before: Churn
    after: Churn

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as ``training_results.json`` holds it."""
        return {
            "align_to": str(self.earlier.folder),
            "matched_by": self.earlier.matched_by,
            "passages": len(self.earlier.rows_M),
            "renamed": [int((p_K != np.arange(len(p_K))).sum()) for p_K in self.permutations],
            "churn": {"before": asdict(self.before), "after": asdict(self.after)},
        }

    def sentence(self) -> str:
        """What a person should know of it."""
        levels = " · ".join(f"{100 * share:.1f}%" for share in self.after.per_level)
        return (
            f"aligned to {self.earlier.folder} by {len(self.earlier.rows_M)} {self.earlier.matched_by} in common: "
            f"{100 * self.after.whole:.1f}% of the codes changed ({100 * self.before.whole:.1f}% before), "
            f"level by level {levels}"
        )


def check_alignable(earlier: Artifacts, encoder: SemanticEncoder) -> None:
    """Refuse artifacts whose codes the encoder cannot say; its weights are not looked at.

    Raises:
        ArtifactError: if they have other levels.
        ConfigurationError: if codes of its quantizer have no other names.
    """
    theirs, ours = list(earlier.config["encoder"].get("level_sizes", [])), list(encoder.level_sizes)
    if len(theirs) != len(ours) or any(old > new for old, new in zip(theirs, ours, strict=True)):
        raise ArtifactError(
            f"{earlier.folder} has levels of {theirs} codes; expected as many levels as this model's {ours}, and none "
            f"larger."
        )
    if isinstance(encoder.quantizer, FiniteScalarQuantizer):
        encoder.quantizer.permute(0, torch.arange(ours[0]))  # says why not


def earlier_codes(
    earlier: Artifacts,
    fingerprint: Fingerprint | None,
    *,
    vectors_ND: NDArray[np.floating] | None = None,
    hashes_N: Sequence[str] | None = None,
) -> EarlierCodes:
    """Codes that earlier artifacts give to rows of new data.

    Vectors of the embedding model that the artifacts know too are all coded by their encoder; otherwise passages
    are looked up among theirs.

    Args:
        earlier: the artifacts.
        fingerprint: of the embedding model of the new data; None for bare vectors.
        vectors_ND: embeddings of the rows, with features where the artifacts have those too, if they are at hand.
        hashes_N: ``text_hash`` of the rows, where they are texts.

    Raises:
        ArtifactError: if there is nothing to match by.
    """
    theirs = earlier.fingerprint
    same = (theirs and theirs.digest) == (fingerprint and fingerprint.digest)
    if vectors_ND is not None and same:
        encoder = earlier.encoder()
        if earlier.row_dim != vectors_ND.shape[1]:
            raise ArtifactError(
                f"{earlier.folder} reads vectors of length {earlier.row_dim}; expected {vectors_ND.shape[1]}, as "
                f"those of this model."
            )
        rows_N = np.arange(len(vectors_ND))
        return EarlierCodes(earlier.folder, "vectors", rows_N, encode_vectors(encoder, vectors_ND, rows_N))
    found = _found(earlier, hashes_N) if hashes_N is not None else None
    if found is None or not len(found.rows_M):
        reason = "give vectors that both read" if same else "and it reads vectors of another embedding model"
        raise ArtifactError(f"{earlier.folder} holds none of the passages of the model to be aligned; {reason}.")
    return found


def _found(earlier: Artifacts, hashes_N: Sequence[str]) -> EarlierCodes | None:
    if "text_hash" not in pq.read_schema(earlier.folder / CODES).names:
        return None
    table = earlier.codes(["text_hash", "code"])
    place_N = pc.index_in(pa.array(hashes_N, pa.string()), table["text_hash"].combine_chunks())
    known_N = place_N.is_valid().to_numpy(zero_copy_only=False)
    column = table["code"].combine_chunks().take(place_N.drop_null())
    codes_ML = _codes(column, len(earlier.config["encoder"]["level_sizes"]))
    return EarlierCodes(earlier.folder, "texts", np.flatnonzero(known_N), codes_ML)


def _codes(column: pa.ListArray, levels: int) -> NDArray[np.int64]:
    flat: NDArray[np.int64] = column.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    return flat.reshape(len(column), levels)


def align(encoder: SemanticEncoder, codes_ML: NDArray[np.int64], earlier: EarlierCodes) -> Alignment:
    """Rename codes of an encoder's free levels, in place, so that the most passages keep what they were called.

    Args:
        encoder: the model.
        codes_ML: its codes of ``earlier.rows_M``.
        earlier: those they had.

    Raises:
        ConfigurationError: if codes of its quantizer have no other names.
    """
    taught = encoder.quantizer.taught
    permutations = match_codes(codes_ML, earlier.codes_ML, encoder.level_sizes, taught)
    for level, permutation_K in enumerate(permutations):
        if level not in taught:
            encoder.quantizer.permute(level, torch.from_numpy(permutation_K))
    before = churn(codes_ML, earlier.codes_ML)
    return Alignment(earlier, permutations, before, churn(rename_codes(codes_ML, permutations), earlier.codes_ML))


def align_artifacts(
    new: Artifacts, earlier: Artifacts, output: str | Path, vectors_ND: NDArray[np.floating] | None = None
) -> Alignment:
    """Write artifacts that are those of ``new`` but for the names of codes on free levels.

    Encoder, codes and IDs follow; what was measured stays true, since no measure asks what a code is called.

    Args:
        new: the artifacts to align.
        earlier: those whose codes are kept to.
        output: the folder to write; may be that of ``new``.
        vectors_ND: embeddings that both models read; None: by the passages that both hold.

    Raises:
        ArtifactError: if they cannot be matched, or ``new`` keeps IDs that were published earlier still.
    """
    results = _results(new.folder)
    if kept := results.get("ids", {}).get("kept"):
        raise ArtifactError(
            f"{new.folder} keeps {kept} IDs that were published earlier, which do not follow its codes; train it again "
            f"with artifacts.align_to={earlier.folder} instead."
        )
    encoder, table = new.encoder(), new.codes()
    check_alignable(earlier, encoder)
    hashes_N = table["text_hash"].to_pylist() if "text_hash" in table.column_names else None
    known = earlier_codes(earlier, new.fingerprint, vectors_ND=vectors_ND, hashes_N=hashes_N)
    codes_NL = _codes(table["code"].combine_chunks(), len(encoder.level_sizes))
    if vectors_ND is not None and known.matched_by == "vectors":
        ours_ML = encode_vectors(encoder, vectors_ND, known.rows_M)
    else:
        ours_ML = codes_NL[known.rows_M]
    alignment = align(encoder, ours_ML, known)

    codes_NL = rename_codes(codes_NL, alignment.permutations)
    with writing(output) as folder:
        copy_files(new, folder)
        save_encoder(folder, encoder)
        renamed = _renamed(new.semantic_ids(), alignment.permutations)
        works = renamed.pop("corpora")
        write_works(folder / SEMANTIC_IDS, renamed, works.items())
        place = table.column_names.index("code")
        pq.write_table(table.set_column(place, "code", code_column(codes_NL)), folder / CODES, compression="zstd")
        if results:
            results = {**results, "alignment": alignment.to_mapping()}
            write_json(folder / RESULTS, results)
            write_report(folder, new.config)
        config = {name: value for name, value in new.config.items() if name not in ("schema", "files")}
        seal(folder, {**config, "align_to": str(earlier.folder)})
    return alignment


def _results(folder: Path) -> dict[str, Any]:
    """What the training said; nothing where artifacts were made of a checkpoint."""
    path = folder / RESULTS
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _renamed(semantic_ids: dict[str, Any], permutations: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """The same works, their codes and IDs by their new names; a suffix stays."""
    corpora = {}
    for corpus, entry in semantic_ids["corpora"].items():
        code = [int(p_K[index]) for p_K, index in zip(permutations, entry["code"], strict=True)]
        own = published_id(entry) or SemanticID(())
        levels = [int(p_K[index]) for p_K, index in zip(permutations, own, strict=False)]
        renamed = SemanticID((*levels, *own.indices[len(levels) :]))
        corpora[corpus] = {**entry, "id": str(renamed), "code": code}
    return {**semantic_ids, "corpora": corpora}
