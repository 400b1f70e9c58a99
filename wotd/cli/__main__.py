"""``python -m wotd.cli``: the same as ``wotd``, for launchers that start modules."""

from wotd.cli import main

main()
