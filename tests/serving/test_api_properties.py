"""The API's description is true: requests made from it, good and bad, are answered as it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from running_server import running
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from wotd import SemanticIDModel
from wotd.serving import create_app

pytest_plugins = ("artifact_fixtures",)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@pytest.fixture(scope="module")
def address(text_artifacts: Path) -> Iterator[str]:
    with running(create_app(SemanticIDModel.load(text_artifacts))) as url:
        yield url


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_route_answers_as_described(address: str, mode: GenerationMode) -> None:
    answered = []
    for found in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():
        operation = found.ok()

        @settings(max_examples=12, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy(mode))
        def answers(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        with contextlib.suppress(Unsatisfiable):  # what takes nothing, or any text, cannot be asked wrongly
            answers()
            answered.append(operation.label)
    assert {"POST /encode", "POST /decode", "GET /neighbors"} <= {*answered}
    assert len(answered) > (5 if mode is GenerationMode.NEGATIVE else 12)
