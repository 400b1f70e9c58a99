"""The four functions of the SageMaker toolkit, in the order in which it calls them, for each content type."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wotd import SemanticIDModel
from wotd.deployment import inference
from wotd.deployment.inference import input_fn, model_fn, output_fn, predict_fn
from wotd.errors import ArtifactError, InputError

pytest_plugins = ("artifact_fixtures",)

TEXTS = ["The rose, the lark\nand the moonlight.", 'A "rocket" to a planet — über alles.']


@pytest.fixture(scope="module")
def model(text_artifacts: Path) -> SemanticIDModel:
    return model_fn(str(text_artifacts))


def csv_of(*rows: list[str]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue()


BODIES = {
    "json": ("application/json", json.dumps({"texts": TEXTS})),
    "json_with_charset": ("Application/JSON; charset=utf-8", json.dumps({"texts": TEXTS}, ensure_ascii=False)),
    "jsonlines": ("application/jsonlines", "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)),
    "jsonlines_crlf": ("application/jsonlines", "\r\n".join(json.dumps({"text": text}) for text in TEXTS) + "\r\n\r\n"),
    "csv": ("text/csv", csv_of(*([text] for text in TEXTS))),
    "csv_with_header": ("text/csv", "\ufeff" + csv_of(["id", "Text"], *(["1", text] for text in TEXTS))),
}


@pytest.mark.parametrize("name", BODIES)
def test_texts_come_in_by_every_content_type(name: str) -> None:
    content_type, body = BODIES[name]
    assert input_fn(body.encode(), content_type).texts == TEXTS
    assert input_fn(body, content_type).texts == TEXTS


def test_plain_text_is_one_text() -> None:
    assert input_fn(TEXTS[0].encode(), "text/plain").texts == TEXTS[:1]


@pytest.mark.parametrize("name", BODIES)
def test_round_trip(model: SemanticIDModel, name: str) -> None:
    content_type, body = BODIES[name]
    expected = [result.to_mapping() for result in model.encode(TEXTS)]
    prediction = predict_fn(input_fn(body.encode(), content_type), model)
    answer, kind = output_fn(prediction, "application/json")
    assert (json.loads(answer), kind) == ({"results": expected}, "application/json")
    lines, kind = output_fn(prediction, "application/jsonlines")
    assert kind == "application/jsonlines"
    assert [json.loads(line) for line in lines.splitlines()] == expected
    assert lines.endswith("\n")


def test_csv_answers_have_a_row_a_text(model: SemanticIDModel) -> None:
    results = model.encode(TEXTS)
    answer, kind = output_fn(results, "text/csv")
    assert kind == "text/csv"
    rows = list(csv.reader(io.StringIO(answer)))
    assert [row[0] for row in rows] == [result.id for result in results]
    assert [row[1].split(";") for row in rows] == [result.names for result in results]
    assert [[float(sure) for sure in row[2].split(";")] for row in rows] == [result.confidence for result in results]
    assert [(row[3] == "true", float(row[4])) for row in rows] == [(r.out_of_domain, r.error) for r in results]


def test_min_confidence_shortens_ids(model: SemanticIDModel) -> None:
    request = input_fn(json.dumps({"text": TEXTS[0], "min_confidence": 1}), "application/json")
    assert predict_fn(request, model) == model.encode(TEXTS[0], min_confidence=1)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("image/png, text/csv;q=0.5", "text/csv"),
        ("application/jsonlines, application/json", "application/jsonlines"),
    ],
)
def test_the_first_type_that_there_is_answers(model: SemanticIDModel, accept: str, kind: str) -> None:
    results = model.encode(TEXTS[:1])
    assert output_fn(results, accept) == output_fn(results, kind)
    assert output_fn(results, accept)[1] == kind


@pytest.mark.parametrize(
    ("content_type", "texts"),
    [
        ("text/csv", ["a rose"]),
        ("text/csv; header=present", ["a rose"]),
        ("text/csv; charset=utf-8; Header=Absent", ["text", "a rose"]),
    ],
)
def test_a_csv_may_say_whether_it_has_a_header(content_type: str, texts: list[str]) -> None:
    assert input_fn("text\na rose\n", content_type).texts == texts


@pytest.mark.parametrize(
    ("content_type", "body", "sentence"),
    [
        ("application/x-npy", b"", "content type application/x-npy is not taken"),
        ("application/json", b"{", "not valid JSON"),
        ("application/json", b'{"texts": []}', "empty list"),
        ("application/json", b'{"texts": [5]}', "text 0 is a"),
        ("application/jsonlines", b'{"text": "a"}\n["b"]', "line 2 is no object"),
        ("application/jsonlines", b'{"text": "a"}\n{', "line 2 is not valid JSON"),
        ("application/jsonlines", b'{"text": "a"}\n{"text": " "}', "text 1 is blank"),
        ("application/jsonlines", b"\n", "empty list"),
        ("text/csv", b"a,b\n", "line 1 has 2 cells"),
        ("text/csv", b"text,n\na\n", "line 2 has 1 cells, the header 2"),
        ("text/csv", b'"a', "CSV cannot be read near line 1"),
        ("text/csv", b"", "empty list"),
        ("text/csv; header=present", b"a rose\n", "header on line 1 names no column text"),
        ("text/csv;header=absent", b"id,text\n1,a rose\n", "line 1 has 2 cells"),
        (None, b"a rose", "the content type is missing; expected application/json"),
        ("text/plain", b"  ", "text 0 is blank"),
        ("text/plain", b"\xff", "not UTF-8 at byte 0"),
    ],
)
def test_bad_bodies_are_refused_in_a_sentence(content_type: str | None, body: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        input_fn(body, content_type)


def test_an_unknown_accept_is_refused(model: SemanticIDModel) -> None:
    with pytest.raises(InputError, match="accept is image/png"):
        output_fn(model.encode(TEXTS), "image/png")


def test_artifacts_of_bare_vectors_cannot_answer_for_texts(vector_artifacts: Path) -> None:
    with pytest.raises(ArtifactError, match="vectors alone"):
        model_fn(str(vector_artifacts))


def test_the_script_works_copied_alone(tmp_path: Path, text_artifacts: Path) -> None:
    shutil.copy(inference.__file__, tmp_path / "inference.py")
    code = (
        "import sys, inference as i; model = i.model_fn(sys.argv[1]);"
        "print(i.output_fn(i.predict_fn(i.input_fn(b'The rose', 'text/plain'), model), 'text/csv')[0]);"
        "assert not {'fastapi', 'lightning', 'hydra'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, text_artifacts]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == output_fn(model_fn(str(text_artifacts)).encode("The rose"), "text/csv")[0].strip()
