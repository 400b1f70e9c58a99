"""What is measured of codes: distortion, use of the codebooks, collisions, neighbours, labels, works, churn."""

from wotd.metrics.agreement import LabelAgreement, OrderedAgreement, label_agreement, ordered_agreement, work_accuracy
from wotd.metrics.calibration import Reliability, reliability
from wotd.metrics.churn import Churn, churn, match_codes, rename_codes
from wotd.metrics.collisions import Collisions, collisions
from wotd.metrics.consistency import work_consistency
from wotd.metrics.contingency import Contingency, information_of_counts
from wotd.metrics.distortion import normalized_mse
from wotd.metrics.information import adjusted_mutual_information, diagonal_dominance
from wotd.metrics.prefixes import conditional_entropy, prefix_groups
from wotd.metrics.probe import fit_probe
from wotd.metrics.recall import NeighborRecall, neighbor_recall
from wotd.metrics.sampling import spread
from wotd.metrics.usage import CodebookUsage, LevelUsage, level_usage

__all__ = [
    "Churn",
    "CodebookUsage",
    "Collisions",
    "Contingency",
    "LabelAgreement",
    "LevelUsage",
    "NeighborRecall",
    "OrderedAgreement",
    "Reliability",
    "adjusted_mutual_information",
    "churn",
    "collisions",
    "conditional_entropy",
    "diagonal_dominance",
    "fit_probe",
    "information_of_counts",
    "label_agreement",
    "level_usage",
    "match_codes",
    "neighbor_recall",
    "normalized_mse",
    "ordered_agreement",
    "prefix_groups",
    "reliability",
    "rename_codes",
    "spread",
    "work_accuracy",
    "work_consistency",
]
