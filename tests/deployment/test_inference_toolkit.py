"""The archive in use: unpacked as an endpoint does, installed from its requirements, asked by the toolkits."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answer_requests import ANSWERS
from borrowed_environment import Environment, outside

pytest_plugins = ("sagemaker_image", "packaged")
pytestmark = pytest.mark.slow

ANSWERING = Path(__file__).with_name("answer_requests.py")
OFFLINE = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"}
RECORDS = 300

JSON, LINES, CSV, PLAIN = "application/json", "application/jsonlines", "text/csv", "text/plain"


@pytest.fixture(scope="module")
def model_dir(packaged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The archive unpacked, on a machine that has neither its embedding model nor a hub."""
    folder = tmp_path_factory.mktemp("endpoint") / "model"
    with tarfile.open(packaged.archive) as opened:
        opened.extractall(folder, filter="data")
    elsewhere = packaged.embedding_model.rename(packaged.embedding_model.with_name("elsewhere"))
    yield folder
    elsewhere.rename(packaged.embedding_model)


@pytest.fixture(scope="module")
def endpoint(image: Environment, model_dir: Path) -> Environment:
    """SageMaker's image after the toolkit has installed what the archive requires."""
    install(image, model_dir, model_dir.parent)
    return image


def install(environment: Environment, model_dir: Path, cwd: Path) -> None:
    """As the toolkit does before it starts the server."""
    done = environment.run(
        *(environment.python, "-m", "pip", "install", "-r", model_dir / "code/requirements.txt"), cwd=cwd, env=OFFLINE
    )
    assert done.returncode == 0, done.stderr


def test_it_gives_the_very_answers_of_the_model_in_a_clean_environment(
    clean: Environment, packaged, model_dir: Path, tmp_path: Path
) -> None:
    from packaged import TEXTS

    assert clean.run(clean.python, "-c", "import wotd", cwd=tmp_path).returncode == 1
    install(clean, model_dir, tmp_path)
    code = (
        "import json, sys, wotd, inference as i; model = i.model_fn(sys.argv[1]);"
        "request = i.input_fn(sys.argv[2], 'application/json');"
        "body, _ = i.output_fn(i.predict_fn(request, model), 'application/json');"
        "print(json.dumps([wotd.__file__, i.__file__, json.loads(body)]))"
    )
    command = (clean.python, "-c", code, model_dir, json.dumps({"texts": TEXTS}))
    search = {"PYTHONPATH": str(model_dir / "code"), "WOTD_CACHE": str(tmp_path / "cache")}
    done = clean.run(*command, cwd=tmp_path, env={**OFFLINE, **search})
    assert done.returncode == 0, done.stderr
    package, handler, answer = json.loads(done.stdout.splitlines()[-1])
    assert Path(package).is_relative_to(clean.packages)
    assert Path(handler) == model_dir / "code/inference.py"
    assert answer == {"results": [each.to_mapping() for each in packaged.expected]}


def asking(body: str | bytes, content_type: str | None, accept: str | None = None) -> dict[str, Any]:
    headers = {"Content-Type": content_type, "Accept": accept}
    data = body.encode() if isinstance(body, str) else body
    return {
        "headers": {name: value for name, value in headers.items() if value is not None},
        "body": base64.b64encode(data).decode(),
    }


class Service:
    """A handler service of the toolkit in a process of its own."""

    def __init__(self, endpoint: Environment, kind: str, model_dir: Path, folder: Path) -> None:
        self._log = folder / f"{kind}.log"
        search = {"PYTHONPATH": str(model_dir / "code"), "WOTD_CACHE": str(folder / "cache")}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [endpoint.python, ANSWERING, kind, model_dir],
                cwd=folder,
                env={**outside(), **OFFLINE, **search},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def answers(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        self.process.stdin.write(json.dumps(requests) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith(ANSWERS):
                found: list[dict[str, Any]] = json.loads(line.removeprefix(ANSWERS))
                return found
        raise AssertionError(self._log.read_text())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def pytorch(endpoint: Environment, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """What PyTorch's image serves with."""
    service = Service(endpoint, "pytorch", model_dir, tmp_path_factory.mktemp("pytorch"))
    yield service
    service.close()


@pytest.fixture(scope="module")
def plain(endpoint: Environment, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The toolkit that the images of all frameworks build on."""
    service = Service(endpoint, "plain", model_dir, tmp_path_factory.mktemp("plain"))
    yield service
    service.close()


def as_csv(texts: list[str]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([text] for text in texts)
    return file.getvalue()


def as_lines(texts: list[str]) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def said(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    """ID, names and error of each record, the error to three digits: the last ones depend on what is embedded along."""
    if answer["type"] == CSV:
        rows = csv.reader(io.StringIO(answer["body"]))
        return [(row[0], row[1].split(";"), f"{float(row[4]):.3g}") for row in rows]
    found = map(json.loads, answer["body"].splitlines())
    return [(each["id"], each["names"], f"{each['error']:.3g}") for each in found]


@pytest.mark.parametrize("service", [pytest.param("pytorch", marks=pytest.mark.nightly), "plain"])
def test_the_toolkit_answers_in_every_type(service: str, packaged, request: pytest.FixtureRequest) -> None:
    from packaged import TEXTS

    expected = [each.to_mapping() for each in packaged.expected]
    requests = [
        asking(json.dumps({"texts": TEXTS}), JSON),
        asking(json.dumps({"texts": TEXTS}, ensure_ascii=False), f"{JSON}; charset=utf-8", "*/*"),
        asking(as_lines(TEXTS), LINES, LINES),
        asking(as_csv(TEXTS), CSV, f"image/png, {LINES}"),
        asking(as_csv(["text", *TEXTS]), f"{CSV}; header=present", CSV),
        asking(TEXTS[0], PLAIN, CSV),
    ]
    answers = request.getfixturevalue(service).answers(*requests)
    whole, charset, lines, mixed, rows, plain = answers
    assert {each["status"] for each in answers} == {200}
    assert json.loads(whole["body"]) == json.loads(charset["body"]) == {"results": expected}
    assert whole["type"] == charset["type"] == JSON
    assert [json.loads(line) for line in lines["body"].splitlines()] == expected
    assert (mixed["body"], mixed["type"]) == (lines["body"], LINES)
    assert (rows["type"], plain["type"]) == (CSV, CSV)
    assert [row[0] for row in csv.reader(io.StringIO(rows["body"]))] == [each["id"] for each in expected]
    assert said(plain) == said(rows)[:1]


def test_a_batch_transform_gets_a_record_for_each_of_its_own(pytorch: Service) -> None:
    """Input cut after any record, as SplitType=Line with MultiRecord or SingleRecord does, gives the same lines."""
    texts = [f"{number} white roses in the garden of the old house" for number in range(RECORDS - 1)] + ["text"]
    cuts = [slice(0, 1), slice(1, 130), slice(130, RECORDS - 1), slice(RECORDS - 1, RECORDS)]
    bodies = {
        (f"{CSV}; header=absent", CSV): [as_csv(texts), *(as_csv(texts[cut]) for cut in cuts)],
        (LINES, LINES): [as_lines(texts), *(as_lines(texts[cut]).rstrip("\n") for cut in cuts)],
    }
    requests = [asking(body, *types) for types, all_ in bodies.items() for body in all_]
    answers = pytorch.answers(*requests)
    assert [each["status"] for each in answers] == [200] * len(requests)
    for whole, *parts in (answers[:5], answers[5:]):
        assert len(said(whole)) == RECORDS
        assert len({str(record[0]) for record in said(whole)}) > 1
        assert [record for part in parts for record in said(part)] == said(whole)


def test_what_a_caller_can_mend_is_a_client_error_in_a_sentence(pytorch: Service) -> None:
    refused = [
        (asking("{", JSON), 400, "the body is not valid JSON"),
        (asking('{"texts": []}', JSON), 422, "texts is an empty list"),
        (asking('{"texts": ["a", 5]}', JSON), 422, "text 1 is"),
        (asking('{"text": "a", "min_confidence": 2}', JSON), 422, "min_confidence is the number 2"),
        (asking('{"text": "a"}\n{', LINES), 400, "line 2 is not valid JSON"),
        (asking("a,b\n", CSV), 422, "row ending on line 1 has 2 cells"),
        (asking(b"\xff", PLAIN), 422, "the body is not UTF-8 at byte 0"),
        (asking("a", "application/x-npy"), 415, "content type application/x-npy is not taken"),
        (asking("a", None), 415, "the content type is missing"),
        (asking("a rose", PLAIN, "image/png"), 406, "accept is image/png"),
        (asking("a rose", PLAIN), 200, ""),
    ]
    answers = pytorch.answers(*(each for each, _, _ in refused))
    assert [each["status"] for each in answers] == [status for _, status, _ in refused]
    for answer, (_, _, sentence) in zip(answers[:-1], refused[:-1], strict=True):
        assert answer["body"].startswith(sentence)
        assert answer["body"].partition("\n")[0].endswith(".")
