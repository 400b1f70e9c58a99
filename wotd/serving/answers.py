"""What the server answers, as types: the shape of its JSON and of its API's description."""

from __future__ import annotations

from pydantic import BaseModel

from wotd.inference import EncodedText
from wotd.library import Neighbor


class Problem(BaseModel):
    """Why a request was not answered, in one sentence."""

    detail: str


class Health(BaseModel):
    """That the server answers, and what it is ready for."""

    status: str
    texts: bool


class Encoded(BaseModel):
    """One result a text, in order."""

    results: list[EncodedText]


class Found(BaseModel):
    """Stored passages, nearest first."""

    results: list[Neighbor]


class Level(BaseModel):
    """One level of an ID."""

    level: str
    code: int
    name: str


class Child(BaseModel):
    """An ID one level below, and how many stored passages bear it."""

    id: str
    name: str
    passages: int


class Work(BaseModel):
    """A work and its own ID."""

    corpus: str
    title: str
    author: str | None
    id: str


class Description(BaseModel):
    """What an ID or a prefix means, and what bears it."""

    id: str
    levels: list[Level]
    passages: int
    works: list[Work]


class Below(BaseModel):
    """What lies below a prefix."""

    id: str
    names: list[str]
    passages: int
    children: list[Child]
    works: list[Work]
