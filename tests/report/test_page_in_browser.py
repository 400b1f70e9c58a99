"""The page as people see it: every chart drawn, nothing asked of a network, readable on a phone, in light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browser import chromium
from reported_runs import config_of, with_texts

from wotd.embeddings import Embedder
from wotd.report.findings import Findings
from wotd.report.page import write_page


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> str:
    folder = with_texts(tmp_path_factory.mktemp("page") / "a", embedder)
    table = pq.read_table(folder / "codes.parquet")
    positions = pa.array([[float(row % 7), float(row % 5)] for row in range(len(table))], pa.list_(pa.float32()))
    pq.write_table(table.append_column("position", positions), folder / "codes.parquet")
    write_page(Findings.of(folder, config_of(folder)))
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def opened(browser: Any, address: str, width: int, scheme: str) -> tuple[Any, list[str], list[str]]:
    """The page, what it complained of, what it asked for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("body[data-drawn]", timeout=60_000)
    return page, complaints, asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
def test_all_of_it_is_drawn_and_fits(browser: Any, address: str, width: int, scheme: str) -> None:
    page, complaints, asked = opened(browser, address, width, scheme)
    assert complaints == []
    assert asked == [address]
    drawn = json.loads(page.inner_text("#drawn") or page.text_content("#drawn"))
    for name in drawn:
        box = page.locator(f"#{name} svg, #{name} canvas").first.bounding_box()
        assert box is not None, name
        assert 100 < box["width"] <= width, name
        assert box["x"] + box["width"] <= width, name
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    told = [page.locator(f"#{name}").get_attribute("aria-label") for name in drawn]
    assert len(set(told)) == len(told), "each chart says what it is"
    assert not any(label is None or "Vega" in label for label in told)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground[4:-1].split(",")) / 3
    assert (brightness > 128) is (scheme == "light")
    page.close()


def test_the_map_takes_the_colours_of_another_level(browser: Any, address: str) -> None:
    page, complaints, _ = opened(browser, address, 1280, "light")
    before = page.locator("#map-0 canvas").screenshot()
    page.locator("#map-0 select").select_option(label="rank")
    page.wait_for_timeout(300)
    assert page.locator("#map-0 canvas").screenshot() != before
    assert complaints == []
    page.close()


def test_charts_follow_when_the_system_turns_dark(browser: Any, address: str) -> None:
    page, complaints, _ = opened(browser, address, 1280, "light")
    label = "#codebook_usage-0 svg text"
    light = page.locator(label).first.get_attribute("fill")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"document.querySelector({label!r}).getAttribute('fill') != {light!r}")
    assert complaints == []
    page.close()


def test_the_hierarchy_opens_by_keyboard(browser: Any, address: str) -> None:
    page, _, _ = opened(browser, address, 1280, "light")
    summary = page.locator("ul.tree > li > details > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("ul.tree > li > details[open]").count() == 1
    inner = page.locator("ul.tree > li > details[open] details > summary").first
    inner.focus()
    page.keyboard.press("Enter")
    assert page.locator("ul.tree blockquote").first.is_visible()
    page.close()
