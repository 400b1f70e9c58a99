"""Under which ID each work is published: its code, made unique by a policy, and never moved again.

====== ==================================================================================
none   the code itself; works may share it
suffix the code and one more index, the rank of the work among those of the same code
spread the code, or the nearest one on the last level that no other work has
====== ==================================================================================

Works are taken in the order of their IDs, so what comes out does not depend on how they arrived. What
an earlier ``semantic_ids.json`` published stays as it is, under every policy, whether or not the work
comes again, and newcomers make room for it.

Shape letters: L levels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wotd.errors import ConfigurationError, InputError
from wotd.semantic_ids import SemanticID


class CollisionPolicy(StrEnum):
    """How works that share a code get IDs of their own."""

    NONE = "none"
    SUFFIX = "suffix"
    SPREAD = "spread"


@dataclass(frozen=True)
class PublishedIDs:
    """IDs of works, and what it took to make them.

    A collision rate is the share of works beyond the first on their code or ID, 0 to 1; NaN of no works.

    Attributes:
        policy: what made them.
        ids: by corpus ID, in its order.
        before: collision rate of the works' codes.
        after: collision rate of their IDs.
        kept: how many works bear an ID that was published earlier.
        outdated: how many of these lie where the model would no longer put the work.
        moved: how many others ``spread`` put on another code than their own.
        left_over: how many found no free code on the last level.
        needed_size: how many codes the last level needs to have one for each of them; its size where it is enough.
    """

    policy: CollisionPolicy
    ids: Mapping[str, SemanticID]
    before: float
    after: float
    kept: int
    outdated: int
    moved: int
    left_over: int
    needed_size: int

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, as ``training_results.json`` holds it; without the IDs."""
        return {
            "policy": self.policy.value,
            "works": len(self.ids),
            "collision_rate": {"before": self.before, "after": self.after},
            "kept": self.kept,
            "outdated": self.outdated,
            "moved": self.moved,
            "left_over": self.left_over,
            "needed_size": self.needed_size,
        }

    def sentences(self) -> list[str]:
        """What a person should know of them."""
        said = [
            f"of {len(self.ids)} works {100 * self.before:.1f}% repeat the code of another and {100 * self.after:.1f}% "
            f"its ID (artifacts.collisions={self.policy})"
        ]
        if self.policy is CollisionPolicy.NONE and self.after:
            said.append("artifacts.collisions=suffix or spread would give each work an ID of its own")
        if self.moved:
            said.append(f"works on another code of the last level than their own: {self.moved}")
        if self.left_over:
            said.append(
                f"works that found no free code and share one: {self.left_over}; raise the size of the last level to "
                f"{self.needed_size} (in the taxonomy, or model.level_sizes), or set artifacts.collisions=suffix"
            )
        if self.kept:
            said.append(
                f"works that keep the ID published earlier: {self.kept}, of which {self.outdated} lie where the model "
                f"would no longer put them"
            )
        return said


def choose_policy(name: str) -> CollisionPolicy:
    """The policy of that name.

    Raises:
        ConfigurationError: if there is none.
    """
    if name not in list(CollisionPolicy):
        raise ConfigurationError(f"artifacts.collisions is '{name}'; expected one of {', '.join(CollisionPolicy)}.")
    return CollisionPolicy(name)


def publish_ids(
    codes: Mapping[str, Sequence[int]],
    policy: CollisionPolicy,
    *,
    last_size: int,
    published: Mapping[str, SemanticID] | None = None,
    closeness: Callable[[str], Sequence[int]] | None = None,
) -> PublishedIDs:
    """IDs of works.

    Args:
        codes: code of each work by corpus ID, each of L levels.
        policy: how those that share a code are told apart.
        last_size: codes of the last level.
        published: IDs that do not move and stay taken, by corpus ID.
        closeness: for ``spread``, the codes of the last level by how near they are to a work, nearest first;
            None: in the order of their indices.
    """
    published = published or {}
    taken = list(published.values())
    newcomers = {corpus: tuple(codes[corpus]) for corpus in sorted(codes) if corpus not in published}
    full: Counter[tuple[int, ...]] = Counter()
    match policy:
        case CollisionPolicy.NONE:
            fresh = {corpus: SemanticID(code) for corpus, code in newcomers.items()}
        case CollisionPolicy.SUFFIX:
            fresh = _suffixed(newcomers, taken)
        case CollisionPolicy.SPREAD:
            fresh, full = _spread(newcomers, taken, closeness or (lambda _: range(last_size)))
    kept = {corpus: published[corpus] for corpus in codes if corpus in published}
    ids = dict(sorted((fresh | kept).items()))
    return PublishedIDs(
        policy=policy,
        ids=ids,
        before=_collision_rate([tuple(code) for code in codes.values()]),
        after=_collision_rate([semantic_id.indices for semantic_id in ids.values()]),
        kept=len(kept),
        outdated=sum(not _lies_at(kept[corpus], codes[corpus], policy) for corpus in kept),
        moved=sum(not fresh[corpus].startswith(SemanticID(code)) for corpus, code in newcomers.items()),
        left_over=full.total(),
        needed_size=last_size + max(full.values(), default=0),
    )


def _suffixed(newcomers: Mapping[str, tuple[int, ...]], taken: Sequence[SemanticID]) -> dict[str, SemanticID]:
    """Each code with the next rank behind it; all works get one, for what is alone today may have company tomorrow."""
    next_rank: Counter[tuple[int, ...]] = Counter()
    levels = len(next(iter(newcomers.values()), ()))
    for semantic_id in taken:  # one that was published without a rank is the first of its code
        code, rank = semantic_id.indices[:levels], semantic_id.indices[levels:] or (0,)
        next_rank[code] = max(next_rank[code], rank[0] + 1)
    ids = {}
    for corpus, code in newcomers.items():
        ids[corpus] = SemanticID((*code, next_rank[code]))
        next_rank[code] += 1
    return ids


def _spread(
    newcomers: Mapping[str, tuple[int, ...]], taken: Sequence[SemanticID], closeness: Callable[[str], Sequence[int]]
) -> tuple[dict[str, SemanticID], Counter[tuple[int, ...]]]:
    """The IDs, and for each prefix whose codes are all taken how many works share one of them.

    Codes go to the works that bear them before any work moves, so none moves without need.
    """
    levels = len(next(iter(newcomers.values()), ()))
    used = {semantic_id.indices[:levels] for semantic_id in taken}
    ids: dict[str, SemanticID] = {}
    for corpus, code in newcomers.items():
        if code not in used:
            ids[corpus] = SemanticID(code)
            used.add(code)
    full: Counter[tuple[int, ...]] = Counter()
    for corpus, code in newcomers.items():
        if corpus in ids:
            continue
        *cell, _ = code
        nearest = (SemanticID((*cell, index)) for index in closeness(corpus))
        free = next((semantic_id for semantic_id in nearest if semantic_id.indices not in used), None)
        if free is None:
            full[tuple(cell)] += 1
        ids[corpus] = free or SemanticID(code)
        used.add(ids[corpus].indices)
    return ids, full


def _lies_at(semantic_id: SemanticID, code: Sequence[int], policy: CollisionPolicy) -> bool:
    """Whether the policy could have made the ID of the code."""
    levels = len(code) - 1 if policy is CollisionPolicy.SPREAD else len(code)
    return semantic_id.startswith(SemanticID(tuple(code[:levels])))


def _collision_rate(items: Sequence[tuple[int, ...]]) -> float:
    return 1 - len(set(items)) / len(items) if items else float("nan")


def published_id(entry: Mapping[str, Any]) -> SemanticID | None:
    """The ID under which an entry of ``semantic_ids.json`` publishes its work: ``id``, else its code, else None.

    Raises:
        InputError: if it is no semantic ID.
    """
    if entry.get("id") is not None:
        return SemanticID.parse(str(entry["id"]))
    return SemanticID(tuple(entry["code"])) if entry.get("code") else None


def earlier_ids(semantic_ids: Mapping[str, Any], level_sizes: Sequence[int], path: str) -> dict[str, SemanticID]:
    """The IDs that a ``semantic_ids.json`` published, by corpus ID; works to which it gave none are left out.

    Raises:
        ConfigurationError: if one is no ID of these levels, with or without a suffix.
    """
    levels = len(level_sizes)
    ids = {}
    for corpus, entry in semantic_ids["corpora"].items():
        try:
            semantic_id = published_id(entry)
            if semantic_id is None:
                continue
            if len(semantic_id) not in (levels, levels + 1):
                raise InputError(f"semantic ID {semantic_id} has {len(semantic_id)} levels; this model has {levels}.")
            semantic_id.prefix(levels).check_sizes(level_sizes)
        except InputError as error:
            raise ConfigurationError(
                f"taxonomy.previous is {path}, whose ID of {corpus} cannot stay: {error}"
            ) from error
        ids[corpus] = semantic_id
    return ids
