"""The fenced blocks of the README, and the commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """Something that a reader does.

    Attributes:
        language: of its block: sh, console, python or pycon.
        text: one command, without a comment behind it; or the whole block.
        shown: what the README says it answers; empty where it says nothing.
    """

    language: str
    text: str
    shown: str = ""


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of each fenced block, in order."""
    return [(found[1], found[2]) for found in _FENCE.finditer(text)]


def steps(text: str) -> list[Step]:
    """What a reader does, in order; drawings, which have no language, are left out.

    Raises:
        ValueError: where a block is of a language that nobody runs.
    """
    found: list[Step] = []
    for language, content in blocks(text):
        match language:
            case "":
                continue
            case "sh":
                found += [Step("sh", command) for command in _commands(content)]
            case "console":
                found += _sessions(content)
            case "python" | "pycon":
                found.append(Step(language, content))
            case _:
                raise ValueError(f"a block of README.md is {language}; expected sh, console, python, pycon or none.")
    return found


def _commands(content: str) -> list[str]:
    """The lines of a script that are no comment; those that end in a backslash go on."""
    joined = re.sub(r"\\\n\s*", "", content)
    return [command for line in joined.splitlines() if (command := re.sub(r"(^|\s+)# .*$", "", line).strip())]


def _sessions(content: str) -> list[Step]:
    """What is typed behind ``$``, each with what follows up to the next."""
    typed = re.split(r"^\$ ", content, flags=re.MULTILINE)
    parts = [part.partition("\n") for part in typed[1:]]
    return [Step("console", command, shown.strip()) for command, _, shown in parts]


def headings(shown: str) -> list[str]:
    """The first line of each table in an answer, which stands above its rule."""
    lines = shown.splitlines()
    return [above for above, rule in pairwise(lines) if set(rule) == {"─"}]


def refusal(shown: str) -> str:
    """The error sentence in an answer up to where the README leaves out figures; empty where it is none."""
    return " ".join(shown.split()).partition("…")[0] if shown.startswith("wotd: ") else ""
