"""Artifact folders made by hand: a started encoder, no training, whatever embedder is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from wotd import artifacts
from wotd.embeddings import Embedder
from wotd.embeddings.verification import described
from wotd.embeddings.views import TextView
from wotd.encoders import SemanticEncoder
from wotd.evaluation import encode_vectors
from wotd.providers.base import Dropped
from wotd.providers.corpora import Corpora, Corpus
from wotd.publication import write_codes, write_semantic_ids
from wotd.taxonomy import Label, Origin, Taxonomy

KINDS = [{"name": name, "any": [name]} for name in ("sea", "house", "wind", "letter")]
TAXONOMY = Taxonomy.from_mapping(
    {
        "name": "places",
        "version": 1,
        "levels": [
            {"name": "kind", "fact": "genres", "rule": "first_match", "codes": KINDS},
            {"name": "rank", "rule": "rank", "size": 3},
        ],
    }
)
_SENTENCES = {
    "sea": ("the cold sea and the river", "a ship upon the river said she", "rain over the still sea at night"),
    "house": ("the old house by the garden", "the door of the house was white", "a lamp in the window of the house"),
    "wind": ("the wind was cold in winter", "more wind and rain than light", "the winter wind on the stone"),
    "letter": ("she read the letter twice more", "his letter was read by the fire", "a letter like no other letter"),
}


def invented_corpora() -> Corpora:
    """A work of each kind, of nine passages, all but the last of a known label."""
    works, texts = [], []
    for kind, (name, sentences) in enumerate(_SENTENCES.items()):
        known = name != "letter"
        label = Label((kind, 0), (Origin.STATED,) * 2) if known else Label((None, None), (Origin.UNKNOWN,) * 2)
        works.append(Corpus(f"files:{name}", name.title(), (f"Author of {name}",), {}, label, len(texts), 9))
        texts += [f"{first}, {second}" for first in sentences for second in sentences]
    return Corpora(works, texts, Dropped(), [])


def make_text_artifacts(
    folder: Path, embedder: Embedder, *, features: Embedder | None = None, texts: bool = True
) -> Path:
    """Artifacts of the invented corpora with the levels of the taxonomy, the first of them taught."""
    corpora, view = invented_corpora(), TextView(embedder, features)
    vectors = view.embed(corpora.texts)
    labels = corpora.labels.copy()
    labels[:, 1] = -1
    encoder = started(vectors, TAXONOMY.sizes, labels, feature_dim=view.feature_dim)
    return write(folder, encoder, vectors, corpora=corpora, embedder=embedder, features=features, texts=texts)


def make_vector_artifacts(folder: Path, rows: int = 60, dim: int = 6, sizes: tuple[int, ...] = (4, 3, 2)) -> Path:
    """Artifacts of bare vectors."""
    vectors = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
    return write(folder, started(vectors, sizes), vectors)


def started(
    vectors: np.ndarray,
    sizes: tuple[int, ...],
    labels: np.ndarray | None = None,
    *,
    seed: int = 0,
    feature_dim: int = 0,
) -> SemanticEncoder:
    """An encoder at its closed-form start, its first level taught where there are labels."""
    dim = vectors.shape[1] - feature_dim
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = SemanticEncoder(
            dim,
            sizes,
            feature_dim=feature_dim,
            latent_dim=min(8, dim),
            hidden=(8,),
            quantizer_options={} if labels is None else {"taught": [0]},
        )
    known = None if labels is None else torch.from_numpy(labels)
    encoder.start(torch.from_numpy(vectors), torch.Generator().manual_seed(seed), known)
    encoder.domain.set_limit(torch.from_numpy(vectors))
    return encoder.eval()


def write(
    folder: Path,
    encoder: SemanticEncoder,
    vectors: np.ndarray,
    *,
    corpora: Corpora | None = None,
    embedder: Embedder | None = None,
    features: Embedder | None = None,
    texts: bool = True,
    rows: int | None = None,
) -> Path:
    """A sealed folder of that encoder and its codes of these vectors, or of the first so many of them."""
    rows = np.arange(len(vectors) if rows is None else rows)
    codes = encode_vectors(encoder, vectors, rows)
    taxonomy = None if corpora is None else TAXONOMY
    with artifacts.writing(folder) as place:
        save_file(encoder.state_dict(), place / artifacts.WEIGHTS)
        write_semantic_ids(place / artifacts.SEMANTIC_IDS, corpora, taxonomy, codes)
        write_codes(place / artifacts.CODES, codes_NL=codes, sides=["train"] * len(rows), corpora=corpora, texts=texts)
        artifacts.seal(
            place,
            {
                "encoder": encoder.config,
                "embedding": described(embedder) if embedder else None,
                "features": described(features) if features else None,
                "taxonomy": taxonomy and taxonomy.to_mapping(),
                "named": taxonomy is not None,
                "encode_mode": encoder.quantizer.encode_mode,
            },
        )
    return folder
