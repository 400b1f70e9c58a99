"""Works and passages, by ID, by work and by word, and the tree of IDs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from wotd.errors import UnknownWorkError
from wotd.inference import SemanticIDModel
from wotd.library import Passages, Tree, WordFound
from wotd.serving.answers import Levels, NamedLevel, Work, WorkDetails, Works
from wotd.serving.served import Served

MAX_AT_ONCE = 500
"""The most works, passages or groups that one answer holds; ``offset`` gives the next ones."""

_Pattern = Annotated[str, Query(description="A pattern of IDs such as 5-*-6, or a prefix; all by default.")]
_Limit = Annotated[int, Query(ge=0, le=MAX_AT_ONCE)]
_Offset = Annotated[int, Query(ge=0)]


def passage_routes(served: Served) -> APIRouter:
    """``/levels``, ``/works``, ``/passages``, ``/words`` and ``/hierarchy``."""
    router = APIRouter(tags=["works and passages"])

    def levels() -> Levels:
        """The levels of IDs with the names of their codes, and what the artifacts hold."""
        return _levels(served.model)

    def works(id: _Pattern = "", limit: _Limit = 100, offset: _Offset = 0) -> Works:
        """Works whose own ID matches."""
        found = served.model.works(id)
        return Works(total=len(found), works=[Work(**work) for work in found[offset : offset + limit]])

    def work(corpus: str) -> WorkDetails:
        """All that is known of a work."""
        return WorkDetails(**_known(served.model, corpus))

    def passages(
        id: _Pattern = "",
        work: str | None = None,
        limit: _Limit = 20,
        offset: _Offset = 0,
        turns: Annotated[bool, Query(description="Works take turns: the first passage of each, and so on.")] = False,
    ) -> Passages:
        """Stored passages whose code matches, of all works or of one, in stored order."""
        model = served.model
        if work is not None:
            _known(model, work)
        return model.passages(id, work=work, limit=limit, offset=offset, turns=turns)

    def words(
        word: str,
        id: _Pattern = "",
        limit: _Limit = 20,
        examples: Annotated[int, Query(ge=0, le=20)] = 3,
        depth: Annotated[int | None, Query(ge=1, description="Levels to group by; all by default.")] = None,
    ) -> WordFound:
        """Passages that contain a word, or several in a row, grouped by ID."""
        return served.model.word(word, id, limit=limit, examples=examples, depth=depth)

    def hierarchy(id: str = "", depth: Annotated[int | None, Query(ge=1)] = None) -> Tree:
        """The IDs below a prefix that passages bear; fewer levels than asked for where they would be too many."""
        return served.model.hierarchy(id, depth)

    looking_up = served.threads.running
    router.get("/levels")(looking_up(levels))
    router.get("/works")(looking_up(works))
    router.get("/works/{corpus:path}", responses={404: {"description": "No such work."}})(looking_up(work))
    router.get("/passages", responses={404: {"description": "No such work."}})(looking_up(passages))
    router.get("/words/{word:path}")(looking_up(words))
    router.get("/hierarchy")(looking_up(hierarchy))
    return router


def _known(model: SemanticIDModel, corpus: str) -> dict[str, Any]:
    try:
        return model.work(corpus)
    except UnknownWorkError as error:
        raise HTTPException(404, str(error)) from error


def _levels(model: SemanticIDModel) -> Levels:
    taxonomy = model.artifacts.taxonomy
    described = [not level.ranked for level in taxonomy.levels] if model.artifacts.named and taxonomy else []
    return Levels(
        levels=[
            NamedLevel(level=name, described=level < len(described) and described[level], codes=model.code_names(level))
            for level, name in enumerate(model.level_names)
        ],
        passages=len(model.library),
        works=len(model.works()),
        texts=model.library.keeps_texts,
    )
