"""What is measured of codes: use of the codebooks, distortion, collisions, agreement with labels."""

from wotd.metrics.agreement import LabelAgreement, label_agreement
from wotd.metrics.churn import Churn, churn, match_codes, rename_codes
from wotd.metrics.collisions import Collisions, collisions
from wotd.metrics.distortion import normalized_mse
from wotd.metrics.usage import CodebookUsage, LevelUsage, level_usage

__all__ = [
    "Churn",
    "CodebookUsage",
    "Collisions",
    "LabelAgreement",
    "LevelUsage",
    "churn",
    "collisions",
    "label_agreement",
    "level_usage",
    "match_codes",
    "normalized_mse",
    "rename_codes",
]
