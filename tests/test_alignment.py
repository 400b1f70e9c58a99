"""Aligned artifacts are the same artifacts under other names, and say as many earlier codes as names allow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_artifacts import make_vector_artifacts, started, write

from wotd import SemanticIDModel
from wotd.alignment import EarlierCodes, align, align_artifacts, check_alignable, earlier_codes
from wotd.artifacts import Artifacts
from wotd.encoders import SemanticEncoder
from wotd.errors import ArtifactError, ConfigurationError
from wotd.evaluation import encode_vectors

SIZES = (4, 3, 2)
pytest_plugins = ["artifact_fixtures"]


def vectors(rows: int = 60, seed: int = 0) -> np.ndarray:
    """Those of :func:`make_vector_artifacts`, where nothing else is asked."""
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)


def of(encoder: SemanticEncoder, x: np.ndarray) -> np.ndarray:
    return encode_vectors(encoder, x, np.arange(len(x)))


def earlier(codes: np.ndarray) -> EarlierCodes:
    return EarlierCodes(Path("old"), "vectors", np.arange(len(codes)), codes)


def shuffled(encoder: SemanticEncoder, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for level, size in enumerate(encoder.level_sizes):
        if level not in encoder.quantizer.taught:
            encoder.quantizer.permute(level, torch.randperm(size, generator=generator))


# --- the encoder


@given(st.integers(0, 200), st.integers(20, 80))
@settings(max_examples=15)
def test_names_that_were_shuffled_are_found_again(seed: int, rows: int) -> None:
    x = vectors(rows, seed)
    encoder = started(x, SIZES)
    codes = of(encoder, x)
    shuffled(encoder, seed)
    alignment = align(encoder, of(encoder, x), earlier(codes))
    assert (of(encoder, x) == codes).all()
    assert alignment.after.whole == 0
    assert alignment.before.whole >= alignment.after.whole


@given(st.integers(0, 200))
@settings(max_examples=15)
def test_what_is_reported_is_what_the_encoder_says(seed: int) -> None:
    """A model of other vectors: much changed, and no level of it got worse by being aligned."""
    x = vectors(80, seed)
    codes = of(started(x, SIZES), x)
    encoder = started(vectors(80, seed + 1000), SIZES, seed=1)
    before = of(encoder, x)
    decoded = encoder.decode(torch.from_numpy(before))
    alignment = align(encoder, before, earlier(codes))
    after = of(encoder, x)
    assert alignment.before.per_level == pytest.approx((before != codes).mean(0).tolist())
    assert alignment.after.per_level == pytest.approx((after != codes).mean(0).tolist())
    assert alignment.after.whole == pytest.approx((after != codes).any(1).mean())
    assert all(a <= b for a, b in zip(alignment.after.per_level, alignment.before.per_level, strict=True))
    torch.testing.assert_close(encoder.decode(torch.from_numpy(after)), decoded)


def test_taught_levels_are_left_alone() -> None:
    x = vectors(80)
    labels = np.stack([(x[:, 0] > 0).astype(np.int64) * 3, *[np.full(80, -1)] * 2], 1)
    encoder = started(x, SIZES, labels)
    codes = of(encoder, x)
    shuffled(encoder, 3)
    turned = codes.copy()
    turned[:, 0] = 3 - turned[:, 0]
    alignment = align(encoder, of(encoder, x), earlier(turned))
    assert (of(encoder, x) == codes).all()
    assert alignment.to_mapping()["renamed"][0] == 0
    assert alignment.after.per_level == (1, 0, 0)


def test_numbers_in_order_are_refused(tmp_path: Path) -> None:
    old = Artifacts.open(make_vector_artifacts(tmp_path / "old"))
    encoder = SemanticEncoder(6, SIZES, latent_dim=4, hidden=(), quantizer="fsq")
    with pytest.raises(ConfigurationError, match="numbers in order, which cannot be renamed"):
        check_alignable(old, encoder)
    for sizes in ((4, 3), (4, 2, 2), (4, 3, 2, 2)):
        with pytest.raises(ArtifactError, match=r"has levels of \[4, 3, 2\] codes"):
            check_alignable(old, SemanticEncoder(6, sizes, latent_dim=4, hidden=()))
    check_alignable(old, SemanticEncoder(6, (4, 3, 9), latent_dim=4, hidden=()))


# --- artifacts of vectors


def test_artifacts_of_vectors_are_matched_by_vectors(tmp_path: Path) -> None:
    old = Artifacts.open(make_vector_artifacts(tmp_path / "old"))
    encoder = old.encoder()
    shuffled(encoder, 1)
    new = Artifacts.open(write(tmp_path / "new", encoder, vectors()))
    with pytest.raises(ArtifactError, match=r"holds none of the passages .* give vectors that both read"):
        align_artifacts(new, old, tmp_path / "aligned")
    assert not (tmp_path / "aligned").exists()
    alignment = align_artifacts(new, old, tmp_path / "aligned", vectors(40, 7))
    assert (alignment.earlier.matched_by, alignment.after.whole) == ("vectors", 0)
    done = Artifacts.open(tmp_path / "aligned")
    assert done.codes().equals(old.codes())
    assert (SemanticIDModel.load(done.folder).encode_vectors(vectors()) == of(old.encoder(), vectors())).all()
    kept = {name: value for name, value in new.config.items() if name != "files"}
    assert {name: value for name, value in done.config.items() if name != "files"} == {
        **kept,
        "align_to": str(old.folder),
    }


def test_vectors_of_another_length_are_refused(tmp_path: Path) -> None:
    old = Artifacts.open(make_vector_artifacts(tmp_path / "old"))
    with pytest.raises(ArtifactError, match="reads vectors of length 6; expected 5"):
        earlier_codes(old, None, vectors_ND=vectors()[:, :5])


# --- artifacts of texts


def renamed(artifacts: Path, folder: Path, seed: int = 0) -> Artifacts:
    """The same run with other numbers on its free level, as another seed might have given them."""
    copy = folder / "old"
    old = Artifacts.open(artifacts)
    encoder = old.encoder()
    names = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    encoder.quantizer.permute(3, names)
    shutil.copytree(artifacts, copy)
    return _with_codes(copy, old, encoder, names.numpy())


def _with_codes(copy: Path, old: Artifacts, encoder: SemanticEncoder, names: np.ndarray) -> Artifacts:
    import pyarrow.parquet as pq

    from wotd.artifacts import save_encoder, seal
    from wotd.publication import code_column

    table = old.codes()
    codes = np.array(table["code"].to_pylist())
    codes[:, 3] = names[codes[:, 3]]
    place = table.column_names.index("code")
    pq.write_table(table.set_column(place, "code", code_column(codes)), copy / "codes.parquet")
    save_encoder(copy, encoder)
    seal(copy, {name: value for name, value in old.config.items() if name not in ("schema", "files")})
    return Artifacts.open(copy)


def test_artifacts_of_texts_are_matched_by_the_texts_in_common(tmp_path: Path, text_artifacts: Path) -> None:
    """Encoder, passages, codes and IDs of works, results and card are all of one piece."""
    new, old = Artifacts.open(text_artifacts), renamed(text_artifacts, tmp_path)
    alignment = align_artifacts(new, old, tmp_path / "aligned")
    assert (alignment.earlier.matched_by, len(alignment.earlier.rows_M)) == ("texts", 144)
    assert alignment.before.whole > 0
    assert alignment.after.whole == 0
    aligned = Artifacts.open(tmp_path / "aligned")
    assert aligned.codes().equals(old.codes())
    before, after = new.semantic_ids()["corpora"], aligned.semantic_ids()["corpora"]
    names = alignment.permutations[3]
    for corpus, entry in after.items():
        assert entry["code"] == [*before[corpus]["code"][:3], names[before[corpus]["code"][3]]]
        assert entry["id"] == "-".join(map(str, entry["code"]))
        assert {**entry, "code": 0, "id": 0} == {**before[corpus], "code": 0, "id": 0}
    texts = new.codes(["text"])["text"].to_pylist()[:20]
    encoded = SemanticIDModel.load(aligned.folder).encode(texts)
    assert [each.code for each in encoded] == old.codes(["code"])["code"].to_pylist()[:20]
    results = json.loads((aligned.folder / "training_results.json").read_text())
    assert results["alignment"] == json.loads(json.dumps(alignment.to_mapping()))
    assert results["metrics"] == json.loads((new.folder / "training_results.json").read_text())["metrics"]
    card = (aligned.folder / "README.md").read_text()
    assert card.count("## Against earlier artifacts") == 1
    assert f"| variation | {alignment.before.per_level[3]:.3f} | 0.000 |" in card
    again = align_artifacts(aligned, old, tmp_path / "aligned")
    assert again.before.whole == 0
    assert (tmp_path / "aligned" / "README.md").read_text().count("## Against earlier artifacts") == 1


def test_passages_are_found_wherever_they_stand(text_artifacts: Path) -> None:
    old = Artifacts.open(text_artifacts)
    table = old.codes(["text_hash", "code"])
    hashes, stored = table["text_hash"].to_pylist(), table["code"].to_pylist()
    asked = ["0" * 64, hashes[9], "1" * 64, hashes[2], hashes[9]]
    for vectors_ND in (None, vectors(5)):  # vectors of another model are no help
        found = earlier_codes(old, None, vectors_ND=vectors_ND, hashes_N=asked)
        assert (found.matched_by, found.rows_M.tolist()) == ("texts", [1, 3, 4])
        assert found.codes_ML.tolist() == [stored[9], stored[2], stored[9]]
    with pytest.raises(ArtifactError, match="and it reads vectors of another embedding model"):
        earlier_codes(old, None, vectors_ND=vectors(5), hashes_N=asked[:1])


def test_suffixes_stay_and_ids_that_do_not_follow_codes_are_refused(tmp_path: Path, text_artifacts: Path) -> None:
    old = renamed(text_artifacts, tmp_path)
    copy = tmp_path / "new"
    shutil.copytree(text_artifacts, copy)
    ids = json.loads((copy / "semantic_ids.json").read_text())
    for entry in ids["corpora"].values():
        entry["id"] += "-7"
    (copy / "semantic_ids.json").write_text(json.dumps(ids))
    results = json.loads((copy / "training_results.json").read_text())

    def sealed(kept: int) -> Artifacts:
        from wotd.artifacts import seal

        config = json.loads((copy / "config.json").read_text())
        (copy / "training_results.json").write_text(json.dumps({**results, "ids": {**results["ids"], "kept": kept}}))
        seal(copy, {name: value for name, value in config.items() if name not in ("schema", "files")})
        return Artifacts.open(copy)

    align_artifacts(sealed(0), old, tmp_path / "aligned")
    for entry in Artifacts.open(tmp_path / "aligned").semantic_ids()["corpora"].values():
        assert entry["id"] == "-".join(map(str, [*entry["code"], 7]))
    with pytest.raises(ArtifactError, match=r"keeps 3 IDs .* train it again with artifacts\.align_to="):
        align_artifacts(sealed(3), old, tmp_path / "other")
    assert not (tmp_path / "other").exists()
