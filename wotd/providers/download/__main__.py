"""Shell entry: ``python -m wotd.providers.download gutenberg 84 1513 --folder BOOKS``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from wotd.errors import WOTDError
from wotd.providers.download import (
    GUTENBERG,
    STANDARD_EBOOKS,
    Client,
    Politeness,
    download_gutenberg,
    download_standard_ebooks,
)


def main(arguments: Sequence[str] | None = None, client: Client | None = None) -> int:
    """Fetch what the arguments name; returns the exit status."""
    options = _parser().parse_args(arguments)
    download = download_gutenberg if options.site == "gutenberg" else download_standard_ebooks
    try:
        client = client or Client(Politeness(interval=options.interval))
        paths = download(options.names, options.folder, base_url=options.base_url, client=client, report=_say)
    except WOTDError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        return 130
    _say(f"{len(paths)} files in {options.folder}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wotd.providers.download", description="Fill the folder that a provider reads, politely."
    )
    sites = parser.add_subparsers(dest="site", required=True, metavar="SITE")
    for site, names, base_url, text in (
        ("gutenberg", "ID", GUTENBERG, "texts of Project Gutenberg by number; for many, give a mirror as --base-url"),
        ("standard-ebooks", "NAME", STANDARD_EBOOKS, "Standard Ebooks by name, such as jane-austen_emma"),
    ):
        one = sites.add_parser(site, help=text, description=f"Fetch {text}.")
        one.add_argument("names", nargs="+", metavar=names)
        one.add_argument("--folder", required=True, help="where the files go")
        one.add_argument("--base-url", default=base_url, help="the site or a mirror (default: %(default)s)")
        one.add_argument(
            "--interval",
            type=float,
            default=Politeness.interval,
            help="seconds between the starts of two requests (default: %(default)s)",
        )
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
