"""What the IDs of a run keep to: the policy for works that share a code, IDs published earlier, earlier codes.

Settings are checked before anything is read, passages matched before anything is trained.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from wotd.alignment import Alignment, EarlierCodes, align, check_alignable, earlier_codes
from wotd.artifacts import Artifacts, read_semantic_ids
from wotd.collision_policy import CollisionPolicy, PublishedIDs, choose_policy, earlier_ids
from wotd.data import WOTDDataModule
from wotd.encoders import SemanticEncoder
from wotd.errors import ConfigurationError
from wotd.evaluation import encode_vectors
from wotd.hub import open_artifacts
from wotd.publication import publish_works, text_hash
from wotd.semantic_ids import SemanticID
from wotd.taxonomy import Taxonomy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Continuity:
    """What a run's IDs keep to.

    Attributes:
        policy: how works that share a code are told apart.
        published: IDs that do not move, by corpus ID.
        align_to: artifacts whose codes are kept on free levels; None: codes are numbered as they come.
    """

    policy: CollisionPolicy
    published: Mapping[str, SemanticID]
    align_to: Artifacts | None

    @classmethod
    def of(cls, config: DictConfig, taxonomy: Taxonomy | None, encoder: SemanticEncoder) -> Continuity:
        """What the config says, checked against the shape of the model; its weights are not looked at.

        Raises:
            ConfigurationError: if it cannot go with the model, or there are no works to give IDs to.
            ArtifactError: if the artifacts to align to are no such, or have other levels.
        """
        policy = choose_policy(str(config.artifacts.collisions))
        if policy is not CollisionPolicy.NONE and taxonomy is None:
            raise ConfigurationError(
                f"artifacts.collisions is {policy}, but bare vectors are of no works that could get IDs; expected none."
            )
        last = len(encoder.level_sizes) - 1
        if policy is CollisionPolicy.SPREAD and last in encoder.quantizer.taught:
            raise ConfigurationError(
                f"artifacts.collisions is spread, which moves works to other codes of the last level, but those of "
                f"level {last} are labels; expected none or suffix."
            )
        previous = None if taxonomy is None else config.taxonomy.get("previous")
        published = earlier_ids(read_semantic_ids(previous), encoder.level_sizes, previous) if previous else {}
        align_to = None if config.artifacts.align_to is None else open_artifacts(config.artifacts.align_to)
        if align_to is not None:
            check_alignable(align_to, encoder)
        return cls(policy, published, align_to)

    def match(self, data: WOTDDataModule) -> EarlierCodes | None:
        """What the artifacts to align to say of the passages that were read; None without such artifacts.

        Raises:
            ArtifactError: if there is nothing to match by.
        """
        if self.align_to is None:
            return None
        fingerprint = data.embedder.fingerprint if data.embedder else None
        hashes_N = [text_hash(text) for text in data.corpora.texts] if data.corpora else None
        features = data.features.fingerprint if data.feature_dim and data.features else None
        vectors_ND = data.vectors if features == self.align_to.features_fingerprint else None
        return earlier_codes(self.align_to, fingerprint, vectors_ND=vectors_ND, hashes_N=hashes_N)

    def publish(
        self, encoder: SemanticEncoder, data: WOTDDataModule, codes_NL: NDArray[np.int64]
    ) -> PublishedIDs | None:
        """The IDs of the works that were read, and a line about them; None for bare vectors."""
        if data.corpora is None:
            return None
        ids = publish_works(data.corpora, codes_NL, data.vectors, encoder, self.policy, self.published)
        logger.log(logging.WARNING if ids.left_over else logging.INFO, "%s", "; ".join(ids.sentences()))
        return ids


def align_to(encoder: SemanticEncoder, data: WOTDDataModule, earlier: EarlierCodes) -> Alignment:
    """Rename the codes of a trained encoder in place, and say in a line what changed."""
    alignment = align(encoder, encode_vectors(encoder, data.vectors, earlier.rows_M), earlier)
    logger.info("%s", alignment.sentence())
    return alignment
