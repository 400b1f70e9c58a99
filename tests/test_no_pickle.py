"""Nothing that the package reads may run: its source calls no reader that unpickles, evaluates or expands.

``test_foreign_files.py`` hands it files that would run if it did.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "xml"}
"""Nobody imports these: what they read may run, or expand without end."""
NAMES = {
    "read_pickle": "reads a pickle",
    "load_from_checkpoint": "may unpickle; wotd.checkpoints does not",
    "add_safe_globals": "lets checkpoints name more than tensors",
    "unsafe_load": "makes any Python object of YAML",
    "unsafe_load_all": "makes any Python object of YAML",
    "full_load": "makes Python objects of YAML",
    "full_load_all": "makes Python objects of YAML",
    "extractall": "writes wherever an archive says",
    "mktemp": "names a file that another may make first",
    "getoutput": "runs a shell",
    "getstatusoutput": "runs a shell",
}
"""By whatever way a module comes to them."""
FULL_NAMES = {
    "eval": "runs what it is given",
    "exec": "runs what it is given",
    "__import__": "imports what it is given",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
    "torch.hub.load": "runs the code of a repository",
    "torch.jit.load": "runs what the file says",
}
XML_READERS = {f"lxml.etree.{name}" for name in ("parse", "fromstring", "XML", "HTML", "iterparse", "XMLParser")}
HOME_OF_XML = "wotd/providers/xml.py"
"""Sets what a parser must not do; elsewhere nobody makes one."""


def unsafe_places(source: str, where: str) -> list[str]:
    """A sentence for each place of a module that reads what could run."""
    tree = ast.parse(source, where)
    names = _imported(tree)
    found = [(node.lineno, reason) for node in ast.walk(tree) for reason in _reasons(node, names, tree, where)]
    return [f"{where}:{line} {reason}." for line, reason in sorted(found)]


def _imported(tree: ast.Module) -> dict[str, str]:
    """What the imported names of a module stand for, in full."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname: each.name for each in node.names if each.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def _full_name(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else "…"


def _reasons(node: ast.AST, names: dict[str, str], tree: ast.Module, where: str) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        yield from (f"imports {name}, and may not" for name in modules if name.partition(".")[0] in MODULES)
    elif isinstance(node, ast.Name | ast.Attribute):
        full = _full_name(node, names)
        if reason := NAMES.get(full.rpartition(".")[2]) or FULL_NAMES.get(full):
            yield f"uses {full}, which {reason}"
        if full in XML_READERS and where != HOME_OF_XML:
            yield f"uses {full}; {HOME_OF_XML} has the parser that expands nothing"
    elif isinstance(node, ast.Call):
        yield from _reasons_of_call(node, _full_name(node.func, names), tree)


def _reasons_of_call(call: ast.Call, full: str, tree: ast.Module) -> Iterator[str]:
    said = {each.arg: each.value for each in call.keywords if each.arg}
    weights_only = _is(said.get("weights_only"), True)
    if full == "torch.load" and not weights_only:
        yield "calls torch.load without weights_only=True"
    if "ckpt_path" in said and full.endswith((".fit", ".validate", ".test", ".predict")) and not weights_only:
        yield f"calls {full} with ckpt_path and without weights_only=True"
    if full in {"yaml.load", "yaml.load_all"} and not _is_safe(said.get("Loader"), tree):
        yield f"calls {full} without a safe Loader"
    for keyword in {"shell", "allow_pickle"} & said.keys():
        if not _is(said[keyword], False):
            yield f"calls {full} with {keyword}={ast.unparse(said[keyword])}"
    if _is(said.get("trust_remote_code"), True):
        yield f"calls {full} with trust_remote_code=True, which only a user may say"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_safe(loader: ast.expr | None, tree: ast.Module) -> bool:
    """Whether a loader of YAML is a safe one, or a class of the module that is derived from one."""
    if isinstance(loader, ast.Name):
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == loader.id]
        return any(_is_safe(base, tree) for each in classes for base in each.bases)
    return loader is not None and ast.unparse(loader) in {
        "yaml.SafeLoader",
        "yaml.CSafeLoader",
        "getattr(yaml, 'CSafeLoader', yaml.SafeLoader)",
    }


def test_the_package_reads_nothing_that_could_run() -> None:
    modules = sorted((ROOT / "wotd").rglob("*.py"))
    assert len(modules) > 150
    problems = [
        problem
        for path in modules
        for problem in unsafe_places(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import pickle", "imports pickle"),
        ("def f():\n    from joblib import load", "imports joblib"),
        ("import xml.etree.ElementTree as ET", "imports xml.etree.ElementTree"),
        ("import torch\ntorch.load(path)", "torch.load without weights_only=True"),
        ("from torch import load as read\nread(path, weights_only=False)", "torch.load without weights_only=True"),
        ("import torch as t\nt.load(path, weights_only=flag)", "torch.load without weights_only=True"),
        ("trainer.fit(module, ckpt_path=path)", "trainer.fit with ckpt_path"),
        ("Module.load_from_checkpoint(path)", "may unpickle"),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "numpy.load with allow_pickle=True"),
        ("import numpy as np\nnp.load(path, allow_pickle=trusted)", "numpy.load with allow_pickle=trusted"),
        ("import yaml\nyaml.load(text)", "yaml.load without a safe Loader"),
        ("import yaml\nyaml.load(text, Loader=yaml.UnsafeLoader)", "yaml.load without a safe Loader"),
        ("import yaml\nclass Own(yaml.Loader): ...\nyaml.load(text, Loader=Own)", "yaml.load without a safe Loader"),
        ("import yaml\nread = yaml.unsafe_load", "makes any Python object"),
        ("import pandas as pd\npd.read_pickle(path)", "reads a pickle"),
        ("eval(text)", "uses eval"),
        ("run = exec", "uses exec"),
        ("import subprocess\nsubprocess.run(line, shell=True)", "with shell=True"),
        ("import os\nos.system(line)", "runs a shell"),
        ("from os import popen\npopen(line)", "os.popen"),
        ("archive.extractall(folder)", "writes wherever an archive says"),
        ("from lxml import etree\netree.fromstring(data)", "expands nothing"),
        ("SemanticIDModel(artifacts, trust_remote_code=True)", "only a user may say"),
    ],
)
def test_what_could_run_is_named(source: str, sentence: str) -> None:
    problems = unsafe_places(source, "wotd/planted.py")
    assert len(problems) == 1
    assert problems[0].startswith("wotd/planted.py:")
    assert sentence in problems[0]


@pytest.mark.parametrize(
    "source",
    [
        "module.eval()\nmodel.compile()",
        "import torch\ntorch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path, allow_pickle=False)\nnp.load(path)",
        "import yaml\nclass Own(yaml.SafeLoader): ...\nyaml.load(text, Loader=Own)\nyaml.safe_load(text)",
        "import subprocess\nsubprocess.run([program], shell=False)",
        "from lxml import etree\ndef f(element: etree._Element): ...",
        "SemanticIDModel(artifacts, trust_remote_code=trust_remote_code)",
    ],
)
def test_what_is_safe_passes(source: str) -> None:
    assert unsafe_places(source, "wotd/planted.py") == []
