"""Invented works for tests: rows of texts whose words, years and genres hang together."""

from __future__ import annotations

import random

GENRES = ("Drama", "Poetry", "Philosophy", "Science Fiction", "Comedy", "Fiction")
_WORDS = {
    "Drama": "stage curtain crown dagger throne herald banquet traitor oath duel",
    "Poetry": "rose lark dew moonlight willow sigh meadow silver petal nightingale",
    "Philosophy": "reason virtue substance cause essence judgement truth doubt maxim soul",
    "Science Fiction": "rocket planet machine orbit signal crater engine martian beacon dome",
    "Comedy": "goose parson wager trousers pudding hiccup cousin umbrella blunder jest",
    "Fiction": "letter garden carriage supper window village cousin harvest lantern inn",
}
_COMMON = "the of and a to in was that his her with for as at by on from they said when then there over under"


def invented_works(works_of_each: int = 6, passages: int = 4, seed: int = 0) -> list[dict[str, object]]:
    """Rows of invented works: each by its own author, its words those of its genre, its year of some era."""
    chooser = random.Random(seed)
    return [
        {
            "id": (name := f"{genre.lower().replace(' ', '-')}-{number}"),
            "title": f"{genre} No. {number}",
            "authors": f"Author of {name}",
            "genres": genre,
            "year_written": 1600 + 60 * number,
            "text": _passage(chooser, _WORDS[genre].split()),
        }
        for genre in GENRES
        for number in range(works_of_each)
        for _ in range(passages)
    ]


def _passage(chooser: random.Random, words: list[str]) -> str:
    sentences = []
    for _ in range(4):
        length = chooser.randint(6, 14)
        chosen = [chooser.choice(words if place % 2 else _COMMON.split()) for place in range(length)]
        sentences.append(" ".join(chosen).capitalize() + ".")
    return " ".join(sentences)
