"""Where on this machine embeddings, and models exported for other backends, are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root(root: Path | str | None = None) -> Path:
    """The folder given, else ``$WOTD_CACHE``, else the platform's folder for a user's caches."""
    chosen = root or os.environ.get("WOTD_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("wotd"))
