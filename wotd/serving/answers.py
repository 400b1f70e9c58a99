"""What the server answers, as types: the shape of its JSON and of its API's description."""

from __future__ import annotations

from pydantic import BaseModel

from wotd.inference import EncodedText
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
