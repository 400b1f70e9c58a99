"""Virtual environments that need no second installation of our dependencies."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path


class Environment:
    """A virtual environment that borrows the packages of this one, all but wotd."""

    def __init__(self, home: Path) -> None:
        self.home = home
        scheme = {"base": str(home), "platbase": str(home)}
        self.scripts = Path(sysconfig.get_path("scripts", "venv", scheme))
        self.packages = Path(sysconfig.get_path("purelib", "venv", scheme))

    @property
    def python(self) -> Path:
        return self.scripts / "python"

    def make(self) -> Environment:
        """Lay it out: links to packages, in a folder of which a .pth file tells, so that its own come first."""
        venv.create(self.home, symlinks=True)
        lent = self.home / "lent"
        lent.mkdir()
        for name in ("purelib", "platlib"):
            for entry in Path(sysconfig.get_path(name)).iterdir():
                ours = entry.suffix == ".pth" or entry.name.startswith(("wotd", "_wotd", "__editable__"))
                if not ours and not (lent / entry.name).exists():
                    (lent / entry.name).symlink_to(entry)
        (self.packages / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")
        return self

    def run(self, *command: str | Path, **options) -> subprocess.CompletedProcess[str]:
        """A command there, which sees nothing of this process's own search path."""
        environment = {**outside(), **options.pop("env", {})}
        return subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, **options)


def outside() -> dict[str, str]:
    """What a process of an image may see of this one's environment."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTEST_XDIST_WORKER")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    return {**kept, "OMP_NUM_THREADS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
