"""The house and its layers: imports point down only, and each heavy package has few doors.

The layers are those of the architecture section in the README; a module finds its layer by its own
name or by the longest package name above it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Left of a slash in a layer's name: it may import what stands right of it, never the other way round.
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("vocabulary", ("wotd.taxonomy", "wotd.semantic_ids")),
    ("primitives", ("wotd.providers", "wotd.quantization")),
    ("parts", ("wotd.embeddings", "wotd.encoders", "wotd.losses", "wotd.metrics", "wotd.capacity")),
    (
        "results",
        (
            "wotd.artifacts",
            "wotd.hub",
            "wotd.collision_policy",
            "wotd.publication",
            "wotd.report",
            "wotd.charts",
            "wotd.passage_map",
            "wotd.id_index",
            "wotd.id_names",
            "wotd.library",
            "wotd.concordance",
            "wotd.runs",
        ),
    ),
    ("frameworks", ("wotd.module", "wotd.data", "wotd.callbacks")),
    ("composition / using", ("wotd.inference", "wotd.encoded", "wotd.evaluation", "wotd.alignment", "wotd.assignment")),
    (
        "composition / training",
        (
            "wotd.pipeline",
            "wotd.assembly",
            "wotd.continuity",
            "wotd.checkpoints",
            "wotd.results_board",
            "wotd.run_lock",
        ),
    ),
    ("doors", ("wotd", "wotd.train", "wotd.sweeps", "wotd.cli", "wotd.serving", "wotd.deployment")),
)
# Every layer may import these; they import nothing of ours but the errors.
BESIDE = (
    "wotd.errors",
    "wotd.configuration",
    "wotd.locks",
    "wotd.parquet_footer",
    "wotd.processes",
    "wotd.progress",
    "wotd.provenance",
    "wotd.redaction",
    "wotd.replacing",
    "wotd.text_checks",
)

DOORS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("hydra",), ("wotd.configuration", "wotd.train", "wotd.sweeps", "wotd.pipeline")),
    (
        ("lightning", "pytorch_lightning", "lightning_fabric"),
        ("wotd.module", "wotd.data", "wotd.callbacks", "wotd.pipeline", "wotd.assembly", "wotd.results_board"),
    ),
    (("huggingface_hub",), ("wotd.embeddings.hub_client", "wotd.hub.repositories")),
    (("fsspec", "s3fs", "gcsfs", "adlfs"), ("wotd.hub.stores",)),
    (("ray",), ("wotd.assignment.on_ray",)),
    (("sentence_transformers",), ("wotd.embeddings.network", "wotd.embeddings.backends")),
    (
        (
            *("fastapi", "starlette", "uvicorn", "boto3", "botocore", "sagemaker", "sagemaker_inference"),
            *("requests", "httpx", "aiohttp", "urllib3", "urllib.request", "http.client", "http.server"),
        ),
        ("wotd.serving", "wotd.deployment", "wotd.providers.download"),
    ),
)
ONLY_WHEN_USED = ("sentence_transformers",)
"""Imported inside functions only, so that nobody waits for them who does not need them."""


@dataclass(frozen=True)
class Import:
    """One imported module, by whom, where, and whether the import runs with the importing module."""

    importer: str
    imported: str
    line: int
    at_once: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def sources(root: Path) -> dict[str, Path]:
    """Every module of the package by name."""
    found = {}
    for path in sorted((root / "wotd").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    """What a module imports anywhere in it, in functions and for types too."""
    for node, at_once in _statements(ast.parse(path.read_text(encoding="utf-8"), str(path)), at_once=True):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, at_once)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package=path.name == "__init__.py")
            for alias in node.names:
                if (base, alias.name) == ("wotd", "__version__"):
                    continue  # a constant of the package, no way back into its doors
                inner = f"{base}.{alias.name}"
                whole = inner in modules or base in ("urllib", "http")
                yield Import(module, inner if whole else base, node.lineno, at_once)


def _statements(node: ast.AST, *, at_once: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it runs when the module is imported."""
    yield node, at_once
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        at_once = False
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        at_once = False
    for child in ast.iter_child_nodes(node):
        yield from _statements(child, at_once=at_once)


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these or lies below one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def layer_of(module: str) -> int | None:
    """Its layer; None beside the layers.

    Raises:
        LookupError: where nobody has said yet where it belongs.
    """
    if within(module, BESIDE):
        return None
    homes = {name: number for number, (_, names) in enumerate(LAYERS) for name in names}
    while module not in homes:
        package, _, _ = module.rpartition(".")
        if package in ("", "wotd"):
            raise LookupError
        module = package
    return homes[module]


def broken_rules(root: Path) -> list[str]:
    """One sentence for every import that the layers and doors forbid, and for every homeless module."""
    modules = sources(root)
    problems, graph = [], {}
    for module, path in modules.items():
        try:
            layer = layer_of(module)
        except LookupError:
            problems.append(f"{module} is in no layer; give it one in tests/test_layers.py and in the README.")
            continue
        found = list(imports_of(module, path, modules))
        graph[module] = {i.imported for i in found if i.imported in modules and i.imported != module}
        for each in found:
            problems += _upward(each, layer) if within(each.imported, ("wotd",)) else _wrong_door(each)
    return problems + _cycles(graph)


def _upward(each: Import, layer: int | None) -> list[str]:
    try:
        below = layer_of(each.imported)
    except LookupError:
        return []  # reported where that module itself is looked at
    if layer is None and not within(each.imported, ("wotd.errors",)):
        return [f"{each}: it stands beside the layers and may import nothing of ours but wotd.errors."]
    if layer is not None and below is not None and below > layer:
        return [f"{each}: '{LAYERS[layer][0]}' may not import '{LAYERS[below][0]}', which stands above it."]
    return []


def _wrong_door(each: Import) -> list[str]:
    problems = []
    for packages, doors in DOORS:
        if within(each.imported, packages) and not within(each.importer, doors):
            problems.append(f"{each}: only {', '.join(doors)} may.")
    if within(each.imported, ONLY_WHEN_USED) and each.at_once:
        problems.append(f"{each} at once; import it inside the function that uses it.")
    return problems


def _cycles(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"modules import each other in a circle: {' <- '.join(error.args[1])}."]
    return []


# --- the house as it stands


def test_imports_point_down_and_use_the_doors() -> None:
    problems = broken_rules(ROOT)
    assert not problems, "\n".join(problems)


def test_every_layer_is_named_once() -> None:
    names = [name for _, layer in LAYERS for name in layer]
    assert len(set(names)) == len(names)
    assert not set(names) & set(BESIDE)


# --- the rules catch what they are for


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"taxonomy.py": "import wotd.providers.base"}, "'vocabulary' may not import 'primitives'"),
        ({"providers/text.py": "def f():\n    from wotd.losses import x"}, "'primitives' may not import 'parts'"),
        ({"inference.py": "from wotd.pipeline import x"}, "'composition / using' may not import 'composition / tr"),
        ({"artifacts.py": "from wotd import SemanticIDModel"}, "'results' may not import 'doors'"),
        ({"providers/base.py": "from ..losses import x"}, "'primitives' may not import 'parts'"),
        (
            {"providers/base.py": "from . import text\n", "providers/text.py": "from wotd.providers import base"},
            "circle",
        ),
        ({"configuration.py": "from wotd.taxonomy import Taxonomy"}, "wotd.configuration:1 .* nothing of ours but"),
        ({"errors.py": "import wotd.progress", "progress.py": ""}, "wotd.errors:1 .* nothing of ours but"),
        ({"helpers.py": ""}, r"wotd.helpers is in no layer; give it one"),
        ({"helpers/inner.py": ""}, r"wotd.helpers.inner is in no layer"),
        ({"losses.py": "import lightning as L"}, "wotd.losses:1 imports lightning: only wotd.module"),
        ({"cli.py": "from hydra.utils import instantiate"}, "wotd.cli:1 imports hydra.utils: only wotd.configuration"),
        (
            {"cli.py": "def f():\n    import sentence_transformers"},
            "only wotd.embeddings.network, wotd.em",
        ),
        ({"embeddings/network.py": "import sentence_transformers"}, "import it inside the function"),
        ({"embeddings/network.py": "try:\n    import sentence_transformers\nexcept ImportError: ..."}, "inside the"),
        ({"providers/text.py": "from urllib import request"}, "imports urllib.request: only wotd.serving"),
    ],
)
def test_what_breaks_a_rule_is_named(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    write(tmp_path, files)
    problems = broken_rules(tmp_path)
    assert len(problems) == 1
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(problems[0])


def test_what_keeps_the_rules_passes(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "__init__.py": "def __getattr__(name):\n    from wotd.inference import SemanticIDModel",
            "artifacts.py": "from wotd import __version__\nfrom urllib import parse\nfrom wotd.taxonomy import x",
            "pipeline.py": "import hydra, lightning\nfrom wotd import inference, module\nimport wotd.errors",
            "module.py": "import lightning",
            "data/__init__.py": "from .splits import x",
            "data/splits.py": "from wotd.module import x",
            "inference.py": "",
            "taxonomy.py": "from wotd.errors import x",
            "errors.py": "",
            "configuration.py": "import hydra\nfrom wotd.errors import x",
            "providers/download.py": "import urllib.request",
            "embeddings/network.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from sentence_transformers import X\n"
            "def load():\n    from sentence_transformers import X",
        },
    )
    assert broken_rules(tmp_path) == []


def write(root: Path, files: dict[str, str]) -> None:
    """Lay out a package of these files."""
    for name, text in {"errors.py": "", "losses.py": "", **files}.items():
        path = root / "wotd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# --- fresh processes


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that a statement brings into a new interpreter."""
    code = f"{statement}; import sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_wotd_is_light() -> None:
    loaded = loaded_by("import wotd")
    assert "wotd" in loaded
    assert not loaded & {"torch", "lightning", "hydra", "omegaconf", "sentence_transformers", "sklearn", "numpy"}


def test_inference_needs_neither_lightning_nor_hydra() -> None:
    loaded = loaded_by("import wotd.inference")
    assert not loaded & {"lightning", "pytorch_lightning", "hydra", "sentence_transformers", "fastapi"}
