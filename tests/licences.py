"""Licences of what the pins name, as their metadata tell them; run as a program, it writes THIRD_PARTY.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LISTED = ROOT / "THIRD_PARTY.md"

_INTRODUCTION = """# Licences of third parties

What `make setup` and the extras may install, as pinned in `constraints.txt`; none of it is part of wotd's package. The
licences are those that the packages' metadata state. `make licences` writes this file, and a test holds it against the
pins and a list of permissive licences; `tests/test_licences.py` names the others, each with the reason why it does no
harm. Embedding models and texts have licences of their own.

| package | licence |
|---|---|
"""
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD",
    "GPL-3.0": "GPL-3.0-only",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The MIT License (MIT)": "MIT",
}
"""Words of classifiers, older metadata and licence files, and the identifiers they mean."""
_IDENTIFIER = r"[A-Za-z0-9.+-]+"


def pinned() -> list[str]:
    """Names of the pinned packages, in the order of the pins."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9._-]+)==", text, flags=re.MULTILINE)


def licence_of(package: str) -> str | None:
    """The licence of an installed package as an SPDX expression (or BSD, where it says no more); None if none is said.

    Raises:
        PackageNotFoundError: if it is not installed.
    """
    told = metadata.metadata(package)
    if expression := told.get("License-Expression"):
        return str(expression)
    field = (told.get("License") or "").strip()
    classifiers = [_SPDX.get(each.rpartition(" :: ")[2]) for each in told.get_all("Classifier", [])]
    candidates = [field, " OR ".join(filter(None, classifiers)), *_first_lines(package)]
    known = [_SPDX.get(each, each) for each in candidates]
    exact = [
        each for each in known if each != "BSD" and re.fullmatch(rf"{_IDENTIFIER}( (AND|OR) {_IDENTIFIER})*", each)
    ]
    named = [each for each in exact if each.upper() not in {"UNKNOWN", "LICENSE"}]
    return next(iter(named), "BSD" if "BSD" in known else None)


def _first_lines(package: str) -> Iterator[str]:
    """What its licence files are headed, for packages whose metadata is silent."""
    for file in metadata.files(package) or ():
        if re.match(r"licen[cs]e", file.name, re.IGNORECASE) and ".dist-info" in str(file):
            yield file.read_text(encoding="utf-8").strip().partition("\n")[0].strip()


def listed() -> dict[str, str]:
    """The table as it is kept."""
    if not LISTED.is_file():
        return {}
    _, _, rows = LISTED.read_text(encoding="utf-8").partition("|---|---|\n")
    return dict(re.findall(r"^\| (\S+) \| (.+) \|$", rows, flags=re.MULTILINE))


def current() -> dict[str, str]:
    """The table as it should be: of packages that are not installed here it keeps what it has."""
    before, now = listed(), {}
    for package in sorted(pinned(), key=str.casefold):
        try:
            now[package] = licence_of(package) or "not stated"
        except metadata.PackageNotFoundError:
            now[package] = before.get(package, "not installed")
    return now


if __name__ == "__main__":
    rows = "".join(f"| {package} | {licence} |\n" for package, licence in current().items())
    LISTED.write_text(_INTRODUCTION + rows, encoding="utf-8")
