"""Bodies of networks that other backends run: the same vectors in any batch, from files that are checked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from wotd.embeddings.backends import BACKENDS, Calibration, checked_arithmetic, find_calibration, with_backend
from wotd.embeddings.backends.calibration import Ranges, calibration_texts
from wotd.embeddings.backends.measuring import calibrate
from wotd.embeddings.backends.running import BODIES, OnnxBody
from wotd.embeddings.fingerprint import PROBE_TEXTS
from wotd.embeddings.sources import locate_model
from wotd.errors import EmbeddingError

TEXTS = ["", "rain", "the cold sea", "the wind was cold and the sea was dark", "the sea and the wind " * 30]
DIGEST = "d" * 64
OTHERS = [(backend, precision) for backend in ("onnx", "openvino") for precision in BACKENDS[backend]]
EXACT = [("onnx", "float32"), ("openvino", "float32")]


@pytest.fixture(scope="module")
def exported(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the body in float32 and nothing else, for tests to copy: to export one takes seconds."""
    folder = tmp_path_factory.mktemp("exported")
    exchanged(tiny_model_path, folder, "onnx", "float32")
    return folder


@pytest.fixture(scope="module")
def store(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that tests share and leave whole."""
    return shutil.copytree(exported, tmp_path_factory.mktemp("store"), dirs_exist_ok=True)


@pytest.fixture
def own_store(exported: Path, tmp_path: Path) -> Path:
    """A store of a test's own, with the body in float32."""
    return shutil.copytree(exported, tmp_path / "store")


def loaded(path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(path), device="cpu")


def skip_what_cannot_be_computed(backend: str, precision: str) -> None:
    """Skip what this processor cannot compute."""
    processor = Path("/proc/cpuinfo")
    if (backend, precision) == ("openvino", "bfloat16") and processor.exists() and "bf16" not in processor.read_text():
        pytest.skip("NOT TESTED: this processor does not compute in bfloat16")


def exchanged(path: Path, store: Path, backend: str, precision: str, **more: object) -> SentenceTransformer:
    return with_backend(loaded(path), backend, precision, model="tiny", store=store, digest=DIGEST, **more)  # type: ignore[arg-type]


def graphs(store: Path) -> list[Path]:
    return sorted(store.glob("models/*/*/model.onnx"))


@pytest.mark.parametrize(("backend", "precision"), EXACT)
def test_float32_gives_the_vectors_of_torch_in_any_batch(
    tiny_model_path: Path, store: Path, backend: str, precision: str
) -> None:
    expected = loaded(tiny_model_path).encode(TEXTS)
    network = exchanged(tiny_model_path, store, backend, precision)
    np.testing.assert_allclose(network.encode(TEXTS), expected, atol=1e-5)
    for text, vector in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(network.encode([text])[0], vector, atol=1e-5)


@pytest.mark.parametrize(("backend", "precision"), OTHERS)
def test_it_is_the_other_backend_that_computes(
    tiny_model_path: Path, store: Path, backend: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_what_cannot_be_computed(backend, precision)
    network = exchanged(tiny_model_path, store, backend, precision)
    body = BODIES[backend]
    run, shapes = body.run, []
    monkeypatch.setattr(body, "run", lambda self, arrays: shapes.append(arrays["input_ids"].shape) or run(self, arrays))
    network.encode(["rain", "the cold sea"])
    assert [shape[0] for shape in shapes] == [2]


@pytest.mark.parametrize(("backend", "precision"), OTHERS)
def test_a_vector_does_not_depend_on_the_texts_beside_it(
    tiny_model_path: Path, store: Path, backend: str, precision: str
) -> None:
    skip_what_cannot_be_computed(backend, precision)
    network = exchanged(tiny_model_path, store, backend, precision)
    together = network.encode(TEXTS)
    alone = np.stack([network.encode([text])[0] for text in TEXTS])
    # In few digits, a last digit that padding changes may round a number to its neighbour.
    np.testing.assert_allclose(together, alone, atol={"float32": 1e-6, "int8": 5e-3, "bfloat16": 2e-2}[precision])


def test_scales_of_the_batch_would_let_it_depend_on_them(tiny_model_path: Path, store: Path, tmp_path: Path) -> None:
    """Why int8 takes its scales from a calibration."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    network = exchanged(tiny_model_path, store, "onnx", "float32")
    (graph,) = [path for path in graphs(store) if path.parent.name.startswith("float32")]
    quantize_dynamic(graph, tmp_path / "dynamic.onnx", weight_type=QuantType.QInt8)
    session = onnxruntime.InferenceSession(str(tmp_path / "dynamic.onnx"))
    body = next(module for module in network.modules() if isinstance(module, OnnxBody))
    body._sessions = {torch.get_num_threads(): session}
    assert influence(network) > 1e-5
    assert influence(exchanged(tiny_model_path, store, "onnx", "int8")) < 1e-6


def influence(network: SentenceTransformer) -> float:
    """How far the texts beside it, of the same length, move the vector of a text."""
    alone = network.encode(["the cold sea"])[0]
    beside = [network.encode(["the cold sea", text])[0] for text in ("the dark rain", "wind and sea", "cold was dark")]
    return max(float(np.abs(vector - alone).max()) for vector in beside)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_int8_is_near_and_deterministic(tiny_model_path: Path, store: Path, own_store: Path, backend: str) -> None:
    expected = loaded(tiny_model_path).encode(TEXTS, normalize_embeddings=True)
    here = exchanged(tiny_model_path, store, backend, "int8").encode(TEXTS, normalize_embeddings=True)
    assert (here * expected).sum(1).min() > 0.98
    assert np.abs(here - expected).max() > 1e-5, "it is coarser than float32"
    elsewhere = exchanged(tiny_model_path, own_store, backend, "int8").encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_array_equal(here, elsewhere)


def test_a_calibration_survives_json_and_gives_the_same_vectors(
    tiny_model_path: Path, store: Path, own_store: Path, tmp_path: Path
) -> None:
    first = exchanged(tiny_model_path, store, "onnx", "int8")
    found = find_calibration(store, DIGEST)
    assert found is not None
    found.save(tmp_path / "kept.json")
    again = Calibration.load(tmp_path / "kept.json")
    assert (again, again.sha256) == (found, found.sha256)
    second = exchanged(tiny_model_path, own_store, "onnx", "int8", calibration=again)
    np.testing.assert_array_equal(first.encode(TEXTS), second.encode(TEXTS))
    assert find_calibration(own_store, DIGEST) is None, "what is given is not taken for the model's own"


def test_another_calibration_is_another_model(tiny_model_path: Path, store: Path) -> None:
    network = loaded(tiny_model_path)
    own = calibrate(network, network[0].get_submodule("model"))
    half = Calibration(
        {name: Ranges(each.lowest / 4, each.highest / 4, each.halvings) for name, each in own.layers.items()}
    )
    assert half.sha256 != own.sha256
    clipped = exchanged(tiny_model_path, store, "onnx", "int8", calibration=half).encode(TEXTS)
    assert np.abs(clipped - exchanged(tiny_model_path, store, "onnx", "int8").encode(TEXTS)).max() > 1e-3


def test_a_calibration_of_other_layers_is_refused(tiny_model_path: Path, store: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"none of the model's linear layers can be .* another model's"):
        exchanged(tiny_model_path, store, "onnx", "int8", calibration=Calibration({"a": Ranges(0.0, 1.0, (0,))}))


@pytest.mark.parametrize("kept", ["a", "b"])
def test_layers_without_ranges_stay_in_float32(tiny_model_path: Path, own_store: Path, kept: str) -> None:
    import onnx

    network = loaded(tiny_model_path)
    own = calibrate(network, network[0].get_submodule("model"))
    names = {"a": "encoder.layer.0.attention.self.query", "b": "encoder.layer.0.intermediate.dense"}
    one = Calibration({names[kept]: own.layers[names[kept]]})
    exchanged(tiny_model_path, own_store, "onnx", "int8", calibration=one)
    (graph,) = [path for path in graphs(own_store) if path.parent.name.startswith("int8")]
    whole = {each.name for each in onnx.load(graph).graph.initializer if each.data_type == onnx.TensorProto.INT8}
    assert whole == {f"{names[kept]}.weight", f"{names[kept]}.weight.zeros"}


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a model whose layers share their weights."""
    return tmp_path_factory.mktemp("shared")


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_layers_that_are_used_more_than_once(tiny_model_path: Path, shared_store: Path, backend: str) -> None:
    from transformers import AlbertConfig, AlbertModel

    network = loaded(tiny_model_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"hidden_size": 32, "embedding_size": 16, "intermediate_size": 64, "num_attention_heads": 2}
        config = AlbertConfig(**sizes, num_hidden_layers=3, vocab_size=network[0].model.config.vocab_size)
        network[0].model = AlbertModel(config).eval()
    expected = network.encode(TEXTS)
    with_backend(network, backend, "int8", model="shared", store=shared_store, digest=DIGEST)
    found = network.encode(TEXTS)
    assert (found * expected).sum(1).min() > 0.99
    assert np.abs(found - expected).max() > 1e-6


def test_calibration_texts_are_the_same_every_time() -> None:
    texts = calibration_texts()
    assert texts == calibration_texts()
    assert len(set(texts)) == len(texts) > 100


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"rounding": 1}',
        '{"rounding": 0, "layers": {}}',
        '{"rounding": 1, "layers": {"a": {"lowest": 0, "highest": 1}}}',
        '{"rounding": 1, "layers": {"a": {"lowest": 1, "highest": 2, "halvings": [0]}}}',
        '{"rounding": 1, "layers": {"a": {"lowest": 0, "highest": 0, "halvings": [0]}}}',
        '{"rounding": 1, "layers": {"a": {"lowest": 0, "highest": NaN, "halvings": [0]}}}',
        '{"rounding": 1, "layers": {"a": {"lowest": 0, "highest": 1, "halvings": [0.5]}}}',
        '{"rounding": 1, "layers": {"a": {"lowest": 0, "highest": 1, "halvings": [-1]}}}',
    ],
)
def test_a_damaged_calibration_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(EmbeddingError, match=r"calibration\.json cannot be read .* damaged"):
        Calibration.load(tmp_path / "calibration.json")


@pytest.mark.slow
def test_minilm_in_int8_is_nearer_than_its_tolerance(tmp_path: Path) -> None:
    try:
        folder = locate_model("minilm", local_files_only=True).path
    except EmbeddingError as error:
        pytest.skip(f"MiniLM is not here: {error}")
    expected = SentenceTransformer(str(folder), device="cpu").encode(PROBE_TEXTS)
    for backend in ("onnx", "openvino"):
        found = exchanged(folder, tmp_path, backend, "int8").encode(PROBE_TEXTS)
        assert (found * expected).sum(1).min() > 0.997
    calibration = find_calibration(tmp_path, DIGEST)
    assert calibration is not None
    assert 28 <= len(calibration.layers) < 37, "some layers stay in float32, most do not"


# --- files


def test_an_exported_body_is_kept_and_used_again(
    tiny_model_path: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(graphs(own_store)) == 1
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("exported again"))
    exchanged(tiny_model_path, own_store, "onnx", "float32")
    exchanged(tiny_model_path, own_store, "openvino", "float32")
    exchanged(tiny_model_path, own_store, "openvino", "int8")


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    "damage", ["a byte", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cut", "no checksum", "no graph"))]
)
def test_a_damaged_body_is_exported_anew(tiny_model_path: Path, own_store: Path, precision: str, damage: str) -> None:
    expected = exchanged(tiny_model_path, own_store, "onnx", precision).encode(TEXTS)
    (graph,) = [path for path in graphs(own_store) if path.parent.name.startswith(precision)]
    content = graph.read_bytes()
    if damage == "a byte":
        graph.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif damage == "cut":
        graph.write_bytes(content[:-9])
    else:
        (graph.with_name("sha256") if damage == "no checksum" else graph).unlink()
    np.testing.assert_array_equal(exchanged(tiny_model_path, own_store, "onnx", precision).encode(TEXTS), expected)
    assert graph.read_bytes() == content
    assert not list(own_store.rglob(".tmp-*"))


@pytest.mark.slow
def test_a_disk_that_fails_leaves_nothing_half_written(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wotd.embeddings.backends.exchange.write_atomically", full)
    with pytest.raises(EmbeddingError, match=r"exported model cannot be kept in .*: No space left .*WOTD_CACHE"):
        exchanged(tiny_model_path, tmp_path, "onnx", "float32")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".lock"]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_store_that_is_read_only_is_done_without(
    tiny_model_path: Path,
    store: Path,
    tmp_path: Path,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    expected = exchanged(tiny_model_path, store, "onnx", precision).encode(TEXTS)
    monkeypatch.setattr("wotd.embeddings.backends.exchange.locked", refuse)
    network = exchanged(tiny_model_path, tmp_path / "closed", "onnx", precision)
    np.testing.assert_array_equal(network.encode(TEXTS), expected)
    assert "is read-only: the exported model is not kept" in caplog.text
    assert not (tmp_path / "closed").exists()


@pytest.mark.slow
def test_openvino_leaves_a_redirected_stderr_open(tiny_model_path: Path, store: Path) -> None:
    code = (
        "import io, logging.config, pathlib, sys\n"
        "from sentence_transformers import SentenceTransformer\n"
        "from wotd.embeddings.backends import with_backend\n"
        "ours, sys.stderr = sys.stderr, io.StringIO()\n"
        "network = SentenceTransformer(sys.argv[1], device='cpu')\n"
        "with_backend(network, 'openvino', 'float32', model='m', store=pathlib.Path(sys.argv[2]), digest='d' * 64)\n"
        "redirected, sys.stderr = sys.stderr, ours\n"
        "logging.config.dictConfig({'version': 1})\n"
        "print(redirected.closed, 'absl.logging' in sys.modules)\n"
    )
    arguments = [sys.executable, "-c", code, str(tiny_model_path), str(store)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"


@pytest.mark.slow
def test_signals_are_handled_after_openvino_s_bodies_are_gone(tiny_model_path: Path, store: Path) -> None:
    code = (
        "import gc, pathlib, signal, sys\n"
        "from sentence_transformers import SentenceTransformer\n"
        "from wotd.embeddings.backends import with_backend\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "where = dict(model='m', store=pathlib.Path(sys.argv[2]), digest='d' * 64)\n"
        "load = lambda: SentenceTransformer(sys.argv[1], device='cpu')\n"
        "first, second = (with_backend(load(), 'openvino', 'float32', **where) for _ in range(2))\n"
        "print(len(first.encode(['rain'])), len(second.encode(['rain'])))\n"
        "del first; gc.collect()\n"
        "del second; gc.collect()\n"
        "signal.raise_signal(signal.SIGTERM)\n"
    )
    arguments = [sys.executable, "-c", code, str(tiny_model_path), str(store)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "1", "handled"])


@pytest.mark.slow
def test_processes_at_once_export_one_body(tiny_model_path: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "import torch\n"
        "from sentence_transformers import SentenceTransformer\n"
        "from wotd.embeddings.backends import with_backend\n"
        "export, exports = torch.onnx.export, []\n"
        "torch.onnx.export = lambda *a, **k: exports.append(1) or export(*a, **k)\n"
        "network = SentenceTransformer(sys.argv[1], device='cpu')\n"
        "with_backend(network, 'onnx', 'int8', model='m', store=pathlib.Path(sys.argv[2]), digest='d' * 64)\n"
        "print(len(exports), float(network.encode(['the cold sea']).sum()))\n"
    )
    arguments = [sys.executable, "-c", code, str(tiny_model_path), str(tmp_path)]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sorted(exports for exports, _ in printed) == ["0", "0", "1"]
    assert len({total for _, total in printed}) == 1
    assert len(graphs(tmp_path)) == 2


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_threads_may_compute_at_once(tiny_model_path: Path, store: Path, backend: str) -> None:
    network = exchanged(tiny_model_path, store, backend, "float32")
    expected = network.encode(TEXTS)
    with ThreadPoolExecutor(4, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for vectors in pool.map(lambda _: network.encode(TEXTS), range(20)):
            np.testing.assert_allclose(vectors, expected, atol=1e-6)


# --- what cannot be


@pytest.mark.parametrize(
    ("backend", "precision", "sentence"),
    [
        ("jax", "float32", r"backend is 'jax'; expected one of torch, onnx, openvino\."),
        ("torch", "int8", r"precision is 'int8'; .*=torch expected .*; int8 is computed by onnx"),
        ("onnx", "float16", r"'float16'; .*=onnx expected one of float32, int8; float16 is computed by torch"),
        ("openvino", "float64", r"precision is 'float64'; .* expected one of float32, bfloat16, int8\."),
    ],
)  # fmt: skip
def test_what_does_not_go_together(backend: str, precision: str, sentence: str) -> None:
    with pytest.raises(EmbeddingError, match=sentence):
        checked_arithmetic(backend, precision)


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_missing_extra_is_named(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wotd.embeddings.backends.find_spec", lambda name: None if name.startswith("onnx") else 1)
    with pytest.raises(EmbeddingError, match=rf"needs onnx, onnxscript.*: pip install 'wotd\[{backend}\]'"):
        checked_arithmetic(backend, "float32")
    checked_arithmetic("torch", "float32")


def test_a_cpu_does_not_imitate_float16(tiny_model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="'float16', which a CPU only imitates; expected float32 or bfloat16"):
        exchanged(tiny_model_path, tmp_path, "torch", "float16")


def test_a_model_without_a_transformer_is_torchs(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import BoW

    network = SentenceTransformer(modules=[BoW(["rain", "sea"])], device="cpu")
    with pytest.raises(EmbeddingError, match=r"begins with BoW and has no transformer .*; use .*=torch"):
        with_backend(network, "onnx", "float32", model="words", store=tmp_path, digest=DIGEST)


def test_a_model_that_is_too_large_for_a_graph(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wotd.embeddings.backends.exchange._MOST_BYTES", 100)
    with pytest.raises(EmbeddingError, match="GB of weights, more than fit into one graph"):
        exchanged(tiny_model_path, tmp_path, "onnx", "float32")


def test_a_model_that_cannot_be_exported(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no such operator\nand much more")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(EmbeddingError, match=r"tiny cannot be exported for .*=onnx: no such operator; use"):
        exchanged(tiny_model_path, tmp_path, "onnx", "float32")


def test_a_model_that_computes_otherwise_once_it_is_exported(
    tiny_model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OnnxBody.run
    monkeypatch.setattr(OnnxBody, "run", lambda self, arrays: run(self, arrays) * 1.01)
    with pytest.raises(EmbeddingError, match=r"tiny computes otherwise once it is exported .*off by 0\.01 of the gr"):
        exchanged(tiny_model_path, tmp_path, "onnx", "float32")
    assert not graphs(tmp_path), "it is not kept"


def test_the_store_is_plain_files(tiny_model_path: Path, store: Path) -> None:
    exchanged(tiny_model_path, store, "onnx", "int8")
    names = {path.name for path in store.rglob("*") if path.is_file()}
    assert names == {"model.onnx", "sha256", "calibration.json", ".lock"}
    (calibration,) = store.rglob("calibration.json")
    assert set(json.loads(calibration.read_text())) == {"rounding", "layers"}
