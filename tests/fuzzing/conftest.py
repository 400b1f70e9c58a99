"""The small books of the providers' tests are among what is spoiled here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "providers" / "literature"))
