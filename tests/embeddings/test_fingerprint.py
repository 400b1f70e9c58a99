"""What decides vectors: stored, compared, explained."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.embeddings.fingerprint import PROBE_TEXTS, Fingerprint
from wotd.errors import EmbeddingError

FINGERPRINT = Fingerprint(
    kind="sentence_transformers",
    model="owner/name",
    revision="1" * 40,
    weights_sha256="a" * 64,
    tokenizer_sha256="b" * 64,
    configuration_sha256="c" * 64,
    prompt="",
    pooling="mean",
    max_tokens=256,
    truncate_dim=None,
    normalized=True,
    precision="float32",
    dimension=384,
    backend="torch",
)

OTHER: dict[str, Any] = {
    "kind": "lsa",
    "weights_sha256": "d" * 64,
    "tokenizer_sha256": "e" * 64,
    "configuration_sha256": "f" * 64,
    "prompt": "query: ",
    "pooling": "cls",
    "max_tokens": 512,
    "truncate_dim": 128,
    "normalized": False,
    "dimension": 768,
    "features": ("something",),
}

ARITHMETIC = {"backend": "onnx", "precision": "float16", "calibration_sha256": "0" * 64}


@pytest.mark.parametrize("field", sorted(OTHER))
def test_what_decides_vectors_changes_the_digest_and_is_named(field: str) -> None:
    other = dataclasses.replace(FINGERPRINT, **{field: OTHER[field]})
    assert other.digest != FINGERPRINT.digest
    (difference,) = FINGERPRINT.differences(other)
    assert difference.startswith(field.removesuffix("_sha256").replace("_", " ") + ": ")
    assert difference.endswith(" in the artifacts")


@pytest.mark.parametrize("field", sorted(ARITHMETIC))
def test_other_arithmetic_has_another_digest_and_is_left_to_the_probe(field: str) -> None:
    other = dataclasses.replace(FINGERPRINT, **{field: ARITHMETIC[field]})
    assert other.digest != FINGERPRINT.digest
    assert FINGERPRINT.differences(other) == []


def test_every_field_is_decisive_or_an_origin_or_arithmetic() -> None:
    names = {field.name for field in dataclasses.fields(Fingerprint)}
    assert names == {*OTHER, *ARITHMETIC, "model", "revision"}


def test_what_was_written_before_there_were_backends_is_read() -> None:
    data = FINGERPRINT.to_mapping()
    for field in ("backend", "calibration_sha256", "features"):
        del data[field]
    assert Fingerprint.from_mapping(data).differences(FINGERPRINT) == []


def test_a_difference_reads_as_part_of_a_sentence() -> None:
    other = dataclasses.replace(FINGERPRINT, prompt="query: ")
    assert FINGERPRINT.differences(other) == ["prompt: '' here, 'query: ' in the artifacts"]
    other = dataclasses.replace(FINGERPRINT, weights_sha256="0123456789abcdef")
    assert FINGERPRINT.differences(other) == [
        "weights: sha256 aaaaaaaaaaaa… here, sha256 0123456789ab… in the artifacts"
    ]


@pytest.mark.parametrize("field", ["model", "revision"])
def test_where_files_came_from_does_not_matter_where_hashes_decide(field: str) -> None:
    other = dataclasses.replace(FINGERPRINT, **{field: "elsewhere"})
    assert other.digest == FINGERPRINT.digest
    assert FINGERPRINT.differences(other) == []


@pytest.mark.parametrize("field", ["model", "revision"])
def test_where_files_came_from_matters_without_hashes(field: str) -> None:
    bare = dataclasses.replace(FINGERPRINT, weights_sha256="", configuration_sha256="")
    other = dataclasses.replace(bare, **{field: "elsewhere"})
    assert other.digest != bare.digest
    assert bare.differences(other)


def test_the_digest_is_a_stable_value() -> None:
    assert FINGERPRINT.digest == "1558a27acb022bb2b0f626a8cb31f4c008b76521ed955ff32e9834b5a8631d25"


@given(st.builds(Fingerprint, kind=st.text(), model=st.text(), features=st.lists(st.text()).map(tuple)))
def test_it_survives_json(fingerprint: Fingerprint) -> None:
    text = json.dumps(fingerprint.to_mapping())
    back = Fingerprint.from_mapping(json.loads(text))
    assert back == fingerprint
    assert back.digest == fingerprint.digest
    assert back.differences(fingerprint) == []


def test_a_mapping_that_lacks_or_adds_fields_is_refused() -> None:
    data = FINGERPRINT.to_mapping()
    del data["prompt"]
    data["flavour"] = "vanilla"
    with pytest.raises(EmbeddingError, match=r"lacks \['prompt'\] and has unknown fields \['flavour'\]"):
        Fingerprint.from_mapping(data)


def test_the_probe_texts_are_of_several_lengths_and_kinds() -> None:
    lengths = [len(text.split()) for text in PROBE_TEXTS]
    assert min(lengths) == 1
    assert max(lengths) > 50
    assert len(set(PROBE_TEXTS)) == len(PROBE_TEXTS)
    assert any("\n" in text for text in PROBE_TEXTS)
    assert not all(text.isascii() for text in PROBE_TEXTS)


@pytest.mark.parametrize("data", [[], [[1]], "x", None, 5])
def test_what_is_no_mapping_is_no_fingerprint(data):
    with pytest.raises(EmbeddingError, match="expected a mapping"):
        Fingerprint.from_mapping(data)
