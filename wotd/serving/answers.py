"""What the server answers, as types: the shape of its JSON and of its API's description."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from wotd.encoded import EncodedText
from wotd.library import Neighbor


class Problem(BaseModel):
    """Why a request was not answered, in one sentence."""

    detail: str


class Ready(BaseModel):
    """That the server answers, and whether it can answer for texts."""

    status: str
    texts: bool


class Health(Ready):
    """What is served, and how busy the server is."""

    version: str
    artifacts: str
    embedding_model: str | None
    waiting_texts: int
    uptime_seconds: float


class Encoded(BaseModel):
    """One result a text, in order."""

    results: list[EncodedText]


class DecodedID(BaseModel):
    """What an ID or a prefix stands for: a vector in the space of the embeddings."""

    id: str
    code: list[int]
    names: list[str]
    vector: list[float]


class Decoded(BaseModel):
    """One result an ID, in order."""

    results: list[DecodedID]


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


class NamedLevel(BaseModel):
    """A level and the names of its codes; numbers as text where they have none.

    ``described``: whether its codes describe a text, and do not merely tell texts of one kind apart.
    """

    level: str
    described: bool
    codes: tuple[str, ...]


class Levels(BaseModel):
    """What IDs are made of, and what the artifacts hold; ``texts``: whether they keep the passages' texts."""

    levels: list[NamedLevel]
    passages: int
    works: int
    texts: bool


class Works(BaseModel):
    """Some of the works that were asked for, and how many there are in all."""

    total: int
    works: list[Work]


class WorkDetails(BaseModel):
    """A work as ``semantic_ids.json`` has it, with the names of its code and its label."""

    model_config = ConfigDict(extra="allow")

    corpus: str
    title: str
    author: str | None
    id: str | None = None
    code: list[int] | None = None
    names: list[str]
    label: list[int | None] | None = None
    label_names: list[str | None]
