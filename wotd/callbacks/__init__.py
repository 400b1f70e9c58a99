"""Callbacks of training, each an entry of the config group ``callbacks`` under its own name."""

from wotd.callbacks.clipping import GradientClipping
from wotd.callbacks.codebook_usage import CodebookUsage
from wotd.callbacks.codeword_refit import CodewordRefit
from wotd.callbacks.label_agreement import LabelAgreement
from wotd.callbacks.last_checkpoint import LastCheckpoint
from wotd.callbacks.learning_rate import LearningRate
from wotd.callbacks.pictures import Pictures
from wotd.callbacks.precision import MixedPrecision
from wotd.callbacks.progress import Progress
from wotd.callbacks.schedule import CosineWarmup
from wotd.callbacks.throughput import Throughput
from wotd.callbacks.watchdog import Watchdog

__all__ = [
    "CodebookUsage",
    "CodewordRefit",
    "CosineWarmup",
    "GradientClipping",
    "LabelAgreement",
    "LastCheckpoint",
    "LearningRate",
    "MixedPrecision",
    "Pictures",
    "Progress",
    "Throughput",
    "Watchdog",
]
