"""The same targets for a fuzzer led by coverage: ``python fuzz_atheris.py GROUP TARGET [OPTIONS OF LIBFUZZER]``.

It needs atheris (``pip install 'wotd[fuzz]'``). Without options it goes on until a case fails, which is then stored
below ``build/fuzzing`` and run again by ``fuzz_worker.py``.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import tempfile
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parents[n] / part) for n, part in ((0, ""), (1, ""), (1, "providers/literature"))]

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("fuzz_atheris.py needs atheris, which is not installed: pip install 'wotd[fuzz]'.")

from fuzz_mutations import MAX_BYTES, mutate  # noqa: E402
from fuzz_watch import Watch  # noqa: E402


def main() -> None:
    """Fuzz one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group")
    parser.add_argument("target")
    parser.add_argument("--findings", type=Path, default=Path("build/fuzzing"), help="folder of the cases that fail")
    asked, options = parser.parse_known_args()
    findings = asked.findings.resolve() / asked.group
    findings.mkdir(parents=True, exist_ok=True)
    logging.disable()
    root = Path(tempfile.mkdtemp(prefix="fuzzing-")).resolve()  # the fuzzer ends the process without a farewell
    for name in ("made", "corpus", "watched"):
        (root / name).mkdir()
    os.environ["FUZZ_MADE"] = str(root / "made")
    with atheris.instrument_imports(include=["wotd"]):
        targets = {target.name: target for target in importlib.import_module(f"fuzz_{asked.group}").targets()}
    if asked.target not in targets:
        parser.error(f"{asked.group} has no target '{asked.target}'; it has {', '.join(targets)}")
    target = targets[asked.target]
    inputs = [case for case in (*target.seeds, *target.hostile) if len(case) < MAX_BYTES]
    for number, case in enumerate(inputs):
        (root / "corpus" / str(number)).write_bytes(case)

    def spoiled(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if random.randint(0, 1):
            return bytes(atheris.Mutate(data, most))
        return mutate(random, data, inputs, target.kind)[:most]

    watch = Watch(root / "watched")
    target.prepare(watch.folder)
    command = [sys.argv[0], f"-artifact_prefix={findings}/", f"-max_len={MAX_BYTES}", *options, str(root / "corpus")]

    def one(data: bytes) -> None:
        watch.run(lambda: target.run(data, watch.folder), target.allowed)

    atheris.Setup(command, one, custom_mutator=spoiled)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
