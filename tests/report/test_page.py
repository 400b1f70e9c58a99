"""The page of a run: one file, whole, safe, with what the card says."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reported_runs import RUN, config_of, with_texts, with_vectors

from wotd.charts import page_script
from wotd.embeddings import Embedder
from wotd.publication import write_codes
from wotd.report.findings import Findings
from wotd.report.page import write_page

EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


def page_of(folder: Path) -> str:
    write_page(Findings.of(folder, config_of(folder)))
    return (folder / "report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Tags with their attributes, the text of scripts, and what people read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> str:
    return page_of(with_texts(tmp_path_factory.mktemp("page") / "a", embedder))


def test_it_asks_nothing_of_any_network(page: str) -> None:
    elements = Elements(page)
    addresses = [
        attributes[name] or "" for _, attributes in elements.tags for name in ("src", "href") if name in attributes
    ]
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert "link" not in {tag for tag, _ in elements.tags}
    policy = next(attributes["content"] for tag, attributes in elements.tags if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_every_link_and_chart_has_its_place(page: str) -> None:
    elements = Elements(page)
    places = {attributes.get("id") for _, attributes in elements.tags}
    links = [attributes["href"] for tag, attributes in elements.tags if tag == "a"]
    assert {str(link).removeprefix("#") for link in links} <= places
    drawn = json.loads(elements.scripts[0])
    assert set(drawn) <= places
    assert {name.rpartition("-")[0] for name in drawn} == {
        *("codebook_usage", "distortion_by_depth", "hierarchy", "label_information", "reliability", "frontier"),
    }


def test_it_says_what_the_run_gave(page: str) -> None:
    text = " ".join(Elements(page).text.split())
    assert "learned from 36 passages of 4 works" in text
    assert "kind, test0.750commonest label alone: 0.250" in text
    for said in ("its language is de", "shorter than 20 | words", "house", "Author of sea"):
        assert said in text


def test_what_a_constant_does_better_is_said(tmp_path: Path, embedder: Embedder) -> None:
    worse = {**RUN, "metrics": {**RUN["metrics"], "test/agreement/kind/majority": 0.8, "test/collisions/rate": 0.5}}
    text = Elements(page_of(with_texts(tmp_path / "a", embedder, worse))).text
    assert "commonest label alone: 0.800, which is more" in text
    assert "nMSE (squared error / variance) nmse" in text, "rows bear the names that the README explains"


def test_prefixes_are_shown_with_passages_of_theirs(page: str, tmp_path: Path, embedder: Embedder) -> None:
    table = pq.read_table(with_texts(tmp_path / "a", embedder) / "codes.parquet").to_pydict()
    counts: dict[str, int] = {}
    for code in table["code"]:
        counts["-".join(map(str, code))] = counts.get("-".join(map(str, code)), 0) + 1
    quotes = re.findall(r"<blockquote><p>(.*?)</p><footer><b>(.*?)</b>", page)
    assert len(quotes) == sum(min(3, count) for count in counts.values())
    texts = dict(zip(table["text"], table["code"], strict=True))
    for text, code in quotes:
        assert "-".join(map(str, texts[text])) == code


def test_texts_that_are_markup_stay_texts(tmp_path: Path, embedder: Embedder) -> None:
    folder = with_texts(tmp_path / "a", embedder)
    table = pq.read_table(folder / "codes.parquet")
    evil = pa.array([EVIL] * len(table), pa.string())
    table = table.set_column(table.column_names.index("text"), "text", evil)
    positions = pa.array([[float(row), 1.0] for row in range(len(table))], pa.list_(pa.float32()))
    pq.write_table(table.append_column("position", positions), folder / "codes.parquet")
    ids = json.loads((folder / "semantic_ids.json").read_text())
    for work in ids["corpora"].values():
        work["title"] = work["author"] = EVIL
    (folder / "semantic_ids.json").write_text(json.dumps(ids))
    (folder / "training_config.yaml").write_text(f"name: {EVIL}\n")
    page = page_of(folder)
    elements = Elements(page)
    assert "img" not in {tag for tag, _ in elements.tags}
    assert len(elements.scripts) == 3
    assert not any("alert(1)" in script for script in elements.scripts[1:])
    points = json.loads(elements.scripts[0])["map-0"]["data"]["values"]
    assert points[0]["text"] == EVIL


def test_charts_are_told_to_those_who_cannot_see_them(page: str) -> None:
    drawn = json.loads(Elements(page).scripts[0])
    told = [chart["description"] for chart in drawn.values()]
    assert "Use of each level's codes, over all passages: kind" in told
    assert len(set(told)) == len(told)


def test_without_texts_and_works_there_is_less_to_show(tmp_path: Path, embedder: Embedder) -> None:
    assert "<blockquote>" not in page_of(with_texts(tmp_path / "a", embedder, texts=False))
    page = page_of(with_vectors(tmp_path / "b"))
    assert {'id="works"', 'id="labels"', 'id="map"'}.isdisjoint(re.findall(r'id="\w+"', page))
    assert 'id="hierarchy"' in page


def test_the_library_is_that_of_the_package(page: str) -> None:
    assert page_script() in page
    assert len(page) < len(page_script()) + 200_000, "one copy"


def test_positions_are_kept_for_the_rows_that_have_one(tmp_path: Path) -> None:
    path = tmp_path / "codes.parquet"
    write_codes(
        path,
        codes_NL=np.zeros((3, 2), np.int64),
        sides=["train"] * 3,
        corpora=None,
        texts=False,
        positions={1: (0.5, 2.0)},
    )
    assert pq.read_table(path)["position"].to_pylist() == [None, [0.5, 2.0], None]


def test_results_without_what_is_new_are_shown_too(tmp_path: Path, embedder: Embedder) -> None:
    older = {name: value for name, value in RUN.items() if name not in ("full_cells", "frontier")}
    assert "frontier-0" not in page_of(with_texts(tmp_path / "a", embedder, older))
