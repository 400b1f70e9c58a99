"""The training door: ``python -m wotd.train +experiment=minilm``, also installed as ``wotd-train``."""

from __future__ import annotations

import logging
import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from wotd.configuration import CONFIG_NAME, config_directory, explain, refuse_lists
from wotd.errors import WOTDError

logger = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path=str(config_directory()), config_name=CONFIG_NAME)
def run(config: DictConfig) -> float | None:
    """Train one run of a recipe; returns the test nMSE, which a sweeper may minimise."""
    # Imported here: --help, --cfg and completion need no torch.
    from wotd.pipeline import train_wotd_pipeline

    results = train_wotd_pipeline(config, HydraConfig.get().runtime.output_dir)
    if not results.metrics:  # a process other than the first of a distributed run
        return None
    logger.info("%s", summary(results.metrics))
    artifacts = os.path.relpath(results.artifacts)
    logger.info('everything is in %s; next: wotd encode --artifacts %s "It was a dark night"',
                os.path.relpath(results.output_dir), artifacts)  # fmt: skip
    return results.metrics.get("test/nmse")


def summary(metrics: dict[str, float]) -> str:
    """The figures that matter, in one line a side."""
    lines = []
    for side in ("train", "val", "test"):
        if f"{side}/nmse" not in metrics:
            continue
        parts = [
            f"nMSE {metrics[f'{side}/nmse']:.3f}",
            f"collisions {metrics[f'{side}/collisions/rate']:.3f} (floor {metrics[f'{side}/collisions/floor']:.3f})",
        ]
        prefix, suffix = f"{side}/agreement/", "/accuracy"
        for key in metrics:
            if key.startswith(prefix) and key.endswith(suffix):
                name = key.removeprefix(prefix).removesuffix(suffix)
                parts.append(f"{name} {metrics[key]:.3f} (majority {metrics[f'{prefix}{name}/majority']:.3f})")
        lines.append(f"{side}: " + ", ".join(parts))
    return "\n".join(lines)


def main() -> None:
    """Run Hydra; what the user can mend is one sentence on stderr and exit status 1 (2 for bad keys)."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors through, to be said in a sentence below
    try:
        refuse_lists(sys.argv[1:])
        run()
    except WOTDError as error:
        _exit(str(error), 1)
    except (HydraException, OmegaConfBaseException) as error:
        _exit(explain(error, sys.argv[1:]), 2)
    except KeyboardInterrupt:
        _exit("interrupted; go on with ckpt_path=last and hydra.run.dir set to the run's folder.", 130)


def _exit(message: str, status: int) -> None:
    print(f"wotd-train: {message}", file=sys.stderr)  # noqa: T201  a door speaks to people
    sys.exit(status)


if __name__ == "__main__":
    main()
