"""The page as people meet it: a real server and browser, by mouse and by keyboard, with an accessibility engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from browser import chromium
from running_server import running

from wotd import SemanticIDModel
from wotd.artifacts import seal
from wotd.serving import ServerSettings, create_app

pytest_plugins = ("artifact_fixtures",)

TEXT = "The rose and the willow sigh in the meadow, and the lark sings over the silver brook at dawn."
KEY = "a key of sixteen characters"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

FOLLOWED = """
window.followed = location.hash;
addEventListener("hashchange", () => setTimeout(() => { window.followed = location.hash; }));
"""
"""What the page has begun to show: the address is a new one before anybody hears of it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def model(text_artifacts: Path) -> SemanticIDModel:
    return SemanticIDModel.load(text_artifacts)


@pytest.fixture(scope="module")
def address(model: SemanticIDModel) -> Iterator[str]:
    with running(create_app(model)) as url:
        yield url


@contextmanager
def opened(browser: Any, url: str, width: int = 1280, **context: Any) -> Iterator[Any]:
    """A page that has started; what it complains of and asks of others is kept in ``page.complaints``."""
    made = browser.new_context(viewport={"width": width, "height": 900}, **context)
    page = made.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    origin = "/".join(url.split("/")[:3])
    page.on("request", lambda sent: sent.url.startswith(origin) or page.complaints.append(f"asked {sent.url}"))
    page.add_init_script(FOLLOWED)
    try:
        page.goto(url)
        page.wait_for_selector("body[data-ready], #key-form:not([hidden]), #problem:not([hidden])")
        yield page
    finally:
        made.close()


def read(page: Any, text: str = TEXT) -> None:
    page.fill("#text", text)
    page.click("#text-form button")
    page.wait_for_selector("#near-works li")


def settled(page: Any, part: str) -> None:
    """Wait until the address ends so and its view is there, not the one before it."""
    page.wait_for_function("part => window.followed === part", arg=part)
    page.wait_for_selector("#chosen:not([aria-busy]) h3")


def inside(page: Any, semantic_id: str) -> tuple[float, float]:
    """A point of the window where a sector is under the mouse; its middle may lie in the centre of the circle."""
    page.locator(".sunburst svg").scroll_into_view_if_needed()
    return tuple(
        page.evaluate(
            """id => {
              const sector = document.querySelector(`.sector[data-id="${id}"]`);
              const box = sector.getBoundingClientRect();
              for (let step = 0; step < 4096; step += 1) {
                const [x, y] = [box.x + box.width * (step % 64 + .5) / 64, box.y + box.height * (step / 64) / 64];
                if (document.elementFromPoint(x, y) === sector) return [x, y];
              }
            }""",
            semantic_id,
        )
    )


def click_sector(page: Any, semantic_id: str) -> None:
    page.mouse.click(*inside(page, semantic_id))


def texts_of(page: Any, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


# --- a text


def test_a_text_gets_its_id_what_it_means_and_what_is_near(browser: Any, address: str, model: SemanticIDModel) -> None:
    encoded = model.encode(TEXT)[0]
    near = model.neighbors(TEXT, 50)
    with opened(browser, f"{address}/") as page:
        read(page)
        assert page.inner_text("#result-id") == encoded.id
        rows = texts_of(page, "#result-levels tr")
        assert len(rows) == 4
        for row, name, sure in zip(rows, encoded.names, encoded.confidence, strict=True):
            assert name in row
            assert f"{100 * sure:.0f} %" in row
        meaning = page.inner_text("#meaning")
        assert all(name in meaning.lower() for name in encoded.names[:3])
        assert page.locator("#outside").is_visible() is bool(encoded.out_of_domain)
        assert page.inner_text("#status").startswith(f"Semantic ID {encoded.id}. ")
        assert texts_of(page, "#near-passages blockquote") == [each.text for each in near[:5]]
        page.click("#near-more")
        assert texts_of(page, "#near-passages blockquote") == [each.text for each in near]
        titles = {each.title for each in near}
        assert set(texts_of(page, "#near-works .title")) <= titles
        page.click("#result-levels tr:nth-child(2) a")
        settled(page, f"#/{encoded.code[0]}-{encoded.code[1]}")
        page.go_back()
        page.wait_for_selector("#text-view:not([hidden])")
        assert page.inner_text("#result-id") == encoded.id, "the result is still there"
        assert page.complaints == []


def test_ctrl_enter_reads_and_a_second_text_replaces_the_first(browser: Any, address: str) -> None:
    with opened(browser, f"{address}/") as page:
        read(page)
        page.fill("#text", "A rocket to the orbit of the planet.")
        page.press("#text", "Control+Enter")
        page.wait_for_function("() => document.querySelector('#status').textContent.startsWith('Semantic ID')")
        page.wait_for_selector("#near-works li")
        assert page.complaints == []


@pytest.mark.parametrize(
    ("sure", "sentence"),
    [
        ([0.9, 0.8, 0.5], "Most likely popular in style and easy in complexity; perhaps victorian in era."),
        ([0.5, 0.1, 0.9], "Most likely victorian in era; perhaps popular in style; easy in complexity is little more"),
        ([0.1, 0.2, 0.3], "Popular in style, easy in complexity and victorian in era are little more than guesses."),
        ([], ""),
    ],
)
def test_the_sentence_is_as_sure_as_the_model(browser: Any, address: str, sure: list[float], sentence: str) -> None:
    names = zip(("style", "complexity", "era"), ("popular", "easy", "victorian"), sure, strict=False)
    levels = [{"level": level, "name": name, "confidence": confidence} for level, name, confidence in names]
    with opened(browser, f"{address}/") as page:
        said = page.evaluate(
            "async levels => (await import('/static/sentence.js')).meaning(levels)",
            levels,
        )
    assert said.startswith(sentence)
    assert bool(said) is bool(sentence)


# --- the hierarchy


def test_the_hierarchy_by_mouse(browser: Any, address: str, model: SemanticIDModel) -> None:
    tree = model.hierarchy(depth=3)
    with opened(browser, f"{address}/#/") as page:
        settled(page, "#/")
        drawn = page.locator(".sector.ring-0")
        assert [each.get_attribute("data-id") for each in drawn.all()] == [child.id for child in tree.children]
        first = tree.children[0]
        page.mouse.move(*inside(page, first.id))
        assert page.inner_text("#sunburst-caption") == f"{first.name} · {first.id} · {first.passages} passages"
        click_sector(page, first.id)
        settled(page, f"#/{first.id}")
        assert first.name in page.inner_text("#chosen h3")
        below = first.children[0]
        click_sector(page, below.id)
        settled(page, f"#/{below.id}")
        assert page.locator(f".tree a[href='#/{below.id}'][aria-current]").count() == 1
        page.click(".centre.up")
        settled(page, f"#/{first.id}")
        page.go_back()
        settled(page, f"#/{below.id}")
        page.go_back()
        settled(page, f"#/{first.id}")
        page.go_back()
        settled(page, "#/")
        assert page.complaints == []


def test_the_hierarchy_by_keyboard_alone(browser: Any, address: str, model: SemanticIDModel) -> None:
    first = model.hierarchy(depth=2).children[0]
    below = first.children[0]
    with opened(browser, f"{address}/#/") as page:
        settled(page, "#/")
        page.wait_for_selector(".tree a")

        def tab_to(selector: str) -> None:
            for _ in range(60):
                page.keyboard.press("Tab")
                if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                    return
            raise AssertionError(f"{selector} cannot be reached by Tab")

        assert page.evaluate("document.querySelector('#tree-box').open")
        tab_to(f".twist[aria-controls='below-{first.id}']")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"#below-{first.id} a")
        assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
        tab_to(f"a[href='#/{below.id}']")
        page.keyboard.press("Enter")
        settled(page, f"#/{below.id}")
        assert page.evaluate("document.activeElement.getAttribute('href')") == f"#/{below.id}", "the focus stays"
        assert below.name in page.inner_text("#status")
        page.go_back()
        settled(page, "#/")
        assert page.complaints == []


def test_the_skip_link_leads_to_the_content(browser: Any, address: str) -> None:
    with opened(browser, f"{address}/#/") as page:
        settled(page, "#/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        assert page.locator("#explore-view").is_visible()


# --- style, complexity, era


def test_works_and_passages_of_what_is_picked(browser: Any, address: str, model: SemanticIDModel) -> None:
    style, era = next(
        (int(work["id"].split("-")[0]), int(work["id"].split("-")[2])) for work in model.works() if work["id"]
    )
    pattern = f"{style}-*-{era}"
    with opened(browser, f"{address}/#/") as page:
        settled(page, "#/")
        labels = [label.lower() for label in texts_of(page, "#explore-pickers label:visible")]
        assert labels == ["style", "complexity", "era"]
        page.select_option("#explore-0", str(style))
        settled(page, f"#/{style}")
        assert page.evaluate("document.activeElement.id") != "explore-title"
        page.select_option("#explore-2", str(era))
        settled(page, f"#/{pattern}")
        found = model.passages(pattern, limit=6, turns=True)
        works = model.works(pattern)
        noun = "work" if len(works) == 1 else "works"
        assert page.inner_text("#chosen > .hint") == f"{found.total} passages, {len(works)} {noun}"
        assert texts_of(page, "#chosen .works .title") == [work["title"] for work in works[:12]]
        assert texts_of(page, "#chosen blockquote") == [each.text for each in found.passages]
        page.go_back()
        settled(page, f"#/{style}")
        assert page.input_value("#explore-2") == ""
        page.select_option("#explore-0", "")
        settled(page, "#/")
        assert page.complaints == []


def test_lists_grow_page_by_page(browser: Any, address: str, model: SemanticIDModel) -> None:
    with opened(browser, f"{address}/#/") as page:
        settled(page, "#/")
        page.get_by_role("button", name="Show more works").click()
        page.wait_for_function("() => document.querySelectorAll('#chosen .works li').length === 36")
        assert texts_of(page, "#chosen .works .title") == [work["title"] for work in model.works()]
        assert not page.get_by_role("button", name="Show more works").is_visible()
        assert page.evaluate("document.activeElement.className") == "title", "the focus goes on to the first new one"
        assert page.complaints == []


def test_a_work_and_all_that_is_known_of_it(browser: Any, address: str, model: SemanticIDModel) -> None:
    work = model.works()[3]
    known = model.work(work["corpus"])
    with opened(browser, f"{address}/#/") as page:
        settled(page, "#/")
        page.click(f"#chosen .works .title >> text='{work['title']}'")
        page.wait_for_selector("#chosen table")
        assert work["title"] in page.inner_text("#chosen h3")
        assert work["id"] in page.inner_text("#chosen h3")
        rows = texts_of(page, "#chosen tbody tr")
        for row, code, label in zip(rows, known["names"], known["label_names"], strict=True):
            assert code in row
            assert (label or "unknown") in row
        assert len(texts_of(page, "#chosen blockquote")) == 4
        assert page.complaints == []


# --- a word


def test_a_word_in_its_passages_grouped_by_id(browser: Any, address: str, model: SemanticIDModel) -> None:
    with opened(browser, f"{address}/#/word") as page:
        page.wait_for_selector("#word")
        page.fill("#word", "The")
        page.keyboard.press("Enter")
        page.wait_for_selector(".group")
        assert page.evaluate("location.hash") == "#/word/The"
        found = model.word("the", limit=8)
        assert page.inner_text("#word-groups h3").startswith(f"“the” is in {found.total} of 144 passages")
        assert texts_of(page, ".group h4 .id") == [group.id for group in found.groups]
        marks = texts_of(page, ".group mark")
        assert len(marks) == sum(len(each.places) for group in found.groups for each in group.examples)
        assert {mark.lower() for mark in marks} == {"the"}
        page.get_by_role("button", name="Show more IDs").click()
        page.wait_for_function(f"() => document.querySelectorAll('.group').length > {len(found.groups)}")
        style = found.groups[0].id.split("-")[0]
        page.select_option("#word-0", style)
        page.wait_for_function(f"() => location.hash === '#/word/The/{style}'")
        narrowed = model.word("the", style, limit=8)
        page.wait_for_function(
            "start => document.querySelector('#word-groups h3').textContent.startsWith(start)",
            arg=f"“the” is in {narrowed.total} of {narrowed.searched} passage",
        )
        assert texts_of(page, ".group h4 .id") == [group.id for group in narrowed.groups]
        page.go_back()
        page.wait_for_function("() => location.hash === '#/word/The'")
        page.wait_for_function("() => document.querySelector('#word-0').value === ''")
        assert page.complaints == []


def test_all_passages_of_one_id_and_a_word_that_nobody_wrote(
    browser: Any, address: str, model: SemanticIDModel
) -> None:
    most = model.word("the").groups[0]
    assert most.passages > 3, "else nothing is left out"
    with opened(browser, f"{address}/#/word/the") as page:
        page.click(f".group >> text='All {most.passages} passages of {most.id}'")
        page.wait_for_function(
            "count => document.querySelectorAll('.group blockquote').length === count", arg=min(20, most.passages)
        )
        assert texts_of(page, "#word-pickers label:visible")[-1].lower() == "variation", "what narrows is shown"
        page.fill("#word", "zygote")
        page.select_option("#word-3", "")
        page.wait_for_function("() => document.querySelector('#word-groups h3').textContent.includes('zygote')")
        assert "is in none of" in page.inner_text("#word-groups h3")
        assert page.complaints == []


# --- what goes wrong


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("#/99", "ID pattern 99: level 0 is 99; expected 0 to 7."),
        ("#/fog", "ID pattern is 'fog'; expected indices"),
        ("#/1-2-3-4-5-6", "has 6 levels; these artifacts have 4."),
        ("#/work/files%3Anothing", "Corpus is 'files:nothing'; these artifacts know no work of that ID."),
        ("#/word/%2C%2C", "Word is ',,'; expected letters or digits"),
        ("#/%E0%A4%A", "ID pattern is "),
    ],
)
def test_what_the_server_refuses_is_said_in_its_words(browser: Any, address: str, part: str, sentence: str) -> None:
    with opened(browser, f"{address}/{part}") as page:
        page.wait_for_selector("#problem:not([hidden])")
        assert sentence in page.inner_text("#problem-text")
        assert not page.locator("#again").is_visible(), "another try would not help"
        if not part.startswith("#/word"):
            page.wait_for_selector(".sunburst svg")
            assert page.locator("#chosen h3").count() == 0, "nothing is shown under an address that is none"
        page.click("#to-explore")
        settled(page, "#/")
        assert not page.locator("#problem").is_visible()


def test_a_blank_text_is_refused_and_the_page_goes_on(browser: Any, address: str) -> None:
    with opened(browser, f"{address}/") as page:
        page.fill("#text", "   ")
        page.click("#text-form button")
        page.wait_for_selector("#problem:not([hidden])")
        assert page.inner_text("#problem-text") == "Text 0 is blank; expected words."
        read(page)
        assert not page.locator("#problem").is_visible()


def test_a_server_that_is_gone_and_comes_back(browser: Any, model: SemanticIDModel) -> None:
    made = browser.new_context()
    page = made.new_page()
    with running(create_app(model)) as url:
        page.goto(f"{url}/")
        page.wait_for_selector("body[data-ready]")
    page.fill("#text", TEXT)
    page.click("#text-form button")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem-text") == "The server does not answer; is it still running?"
    assert page.get_attribute("#problem", "role") == "alert"
    with running(create_app(model), int(url.rpartition(":")[2])):
        page.click("#again")
        page.wait_for_selector("#near-works li")
        assert not page.locator("#problem").is_visible()
    made.close()


def test_a_busy_server_says_when_to_try_again(browser: Any, model: SemanticIDModel) -> None:
    app = create_app(model)
    served = app.state.served
    with running(app) as url, opened(browser, f"{url}/") as page:
        patient = served.settings
        served.settings = replace(patient, answer_seconds=1e-6)  # as if each answer came too late
        page.fill("#text", TEXT)
        page.click("#text-form button")
        page.wait_for_selector("#problem:not([hidden])")
        assert page.inner_text("#problem-text").endswith("Try again in a second.")
        served.settings = patient
        page.click("#again")
        page.wait_for_selector("#near-works li")
        assert not page.locator("#problem").is_visible()


def test_a_key_is_asked_for_kept_for_the_tab_and_sent(browser: Any, model: SemanticIDModel) -> None:
    app = create_app(model, ServerSettings(api_key=KEY))
    with running(app) as url, opened(browser, f"{url}/#/") as page:
        page.wait_for_selector("#key-form:not([hidden])")
        assert page.evaluate("document.activeElement.id") == "key"
        page.get_by_label("API key").fill("a wrong key, of some length")
        page.keyboard.press("Enter")
        page.wait_for_function(
            "() => document.querySelector('#key-hint').textContent.startsWith('That key was refused.')"
        )
        page.fill("#key", KEY)
        page.keyboard.press("Enter")
        settled(page, "#/")
        assert not page.locator("#key-form").is_visible()
        assert page.input_value("#key") == ""
        page.reload()
        settled(page, "#/")
        assert KEY not in page.content()
        assert page.evaluate("[Object.values(sessionStorage), Object.values(localStorage)]") == [[KEY], []]


# --- untrusted works, artifacts without texts


def test_texts_and_titles_are_shown_as_they_are(browser: Any, text_artifacts: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(text_artifacts, tmp_path / "hostile")
    hostile = '<img src=x onerror="document.title=1"><b>bold</b> & [link](javascript:1)'
    said = json.loads((folder / "semantic_ids.json").read_text())
    corpus = next(iter(said["corpora"]))
    said["corpora"][corpus] |= {"title": hostile, "author": hostile}
    (folder / "semantic_ids.json").write_text(json.dumps(said))
    config = json.loads((folder / "config.json").read_text())
    seal(folder, {name: value for name, value in config.items() if name != "files"})
    with running(create_app(SemanticIDModel.load(folder))) as url, opened(browser, f"{url}/#/") as page:
        settled(page, "#/")
        assert texts_of(page, "#chosen .works .title")[0] == hostile
        page.click("#chosen .works .title >> nth=0")
        page.wait_for_selector("#chosen table")
        assert page.inner_text("#chosen h3").startswith(hostile)
        assert page.locator("main img, main b").count() == 0
        assert page.title() == "Explore · wotd, semantic IDs of literature"
        assert page.complaints == []


def test_bare_vectors_can_be_browsed_and_the_page_says_why_not_more(browser: Any, vector_artifacts: Path) -> None:
    model = SemanticIDModel.load(vector_artifacts)
    with running(create_app(model)) as url, opened(browser, f"{url}/") as page:
        page.wait_for_selector("#chosen h3")
        assert "learned from vectors alone" in page.inner_text("#limits")
        assert texts_of(page, ".top nav li:visible") == ["Explore"]
        assert not page.locator("#explore-pickers").is_visible()
        child = model.hierarchy(depth=1).children[0]
        click_sector(page, child.id)
        settled(page, f"#/{child.id}")
        assert page.inner_text("#chosen > .hint") == f"{child.passages} rows"
        assert "its text is not kept" in page.inner_text("#chosen .passages li >> nth=0")
        page.evaluate("location.hash = '#/word/fog'")
        page.wait_for_timeout(300)
        assert page.locator("#explore-view").is_visible()
        assert page.complaints == []


# --- how it looks and how it can be used


STATES: dict[str, Callable[[Any], None]] = {
    "#/text": lambda page: read(page),
    "#/": lambda page: page.click(".twist >> nth=0"),
    "#/4-*-5": lambda page: page.wait_for_selector("#chosen h3"),
    "#/word/the": lambda page: page.wait_for_selector(".group"),
    "#/99": lambda page: page.wait_for_selector("#problem:not([hidden])"),
}


@contextmanager
def states(browser: Any, address: str, width: int, model: SemanticIDModel, **context: Any) -> Iterator[Any]:
    """A function that walks through the states of the page, the list of the hierarchy open."""

    def walk() -> Iterator[tuple[str, Any]]:
        work = f"#/work/{model.works()[0]['corpus']}"
        for part, make in {**STATES, work: lambda page: page.wait_for_selector("#chosen table")}.items():
            with opened(browser, f"{address}/{part}", width, **context) as page:
                page.evaluate("document.querySelector('#tree-box').open = true")
                if part == "#/":
                    page.wait_for_selector(".twist")
                make(page)
                page.wait_for_timeout(200)
                yield part, page

    with closing(walk()) as walking:  # a test that fails leaves no page open behind it
        yield walking


@pytest.mark.parametrize(
    "width", [380, pytest.param(768, marks=pytest.mark.nightly), 1440, pytest.param(2200, marks=pytest.mark.nightly)]
)
def test_nothing_is_wider_than_the_window_and_targets_are_large(
    browser: Any, address: str, model: SemanticIDModel, width: int
) -> None:
    with states(browser, address, width, model) as walk:
        for part, page in walk:
            assert page.evaluate("document.documentElement.scrollWidth") <= width, part
            small = page.evaluate(
                "[...document.querySelectorAll('button, select, textarea, input, summary, nav a, .tree a')]"
                ".map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])"
                ".filter(([, box]) => box.width && (box.height < 43.5 || box.width < 24)).map(([html]) => html)"
            )
            assert small == [], part
            columns = page.evaluate(
                "getComputedStyle(document.querySelector('section:not([hidden]) > .columns'))"
                ".gridTemplateColumns.split(' ').length"
            )
            assert columns == (2 if width >= 1100 else 1), part


def complaints_of_the_engine(page: Any) -> dict[str, list[Any]]:
    """What the accessibility engine finds in a light and in a dark window."""
    found = {}
    page.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(200)
        told = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
        assert len(told["passes"]) > 20, "it has looked"
        found[scheme] = [(each["id"], [node["html"] for node in each["nodes"]]) for each in told["violations"]]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("width", [380, pytest.param(1440, marks=pytest.mark.nightly)])
def test_the_accessibility_engine_finds_nothing(browser: Any, address: str, model: SemanticIDModel, width: int) -> None:
    pytest.importorskip("axe_playwright_python", reason="NOT TESTED: axe-playwright-python is not installed")
    # The page's policy would keep the engine out, too.
    with states(browser, address, width, model, bypass_csp=True) as walk:
        for part, page in walk:
            assert complaints_of_the_engine(page) == {"light": [], "dark": []}, part


@pytest.mark.parametrize("state", ["key", "vectors"])
def test_the_accessibility_engine_finds_nothing_in_rarer_states(
    browser: Any, model: SemanticIDModel, vector_artifacts: Path, state: str
) -> None:
    pytest.importorskip("axe_playwright_python", reason="NOT TESTED: axe-playwright-python is not installed")
    if state == "key":
        app, seen = create_app(model, ServerSettings(api_key=KEY)), "#key-form:not([hidden])"
    else:
        app, seen = create_app(SemanticIDModel.load(vector_artifacts)), "#limits:not([hidden])"
    with running(app) as url, opened(browser, f"{url}/", 1440, bypass_csp=True) as page:
        page.wait_for_selector(seen)
        page.wait_for_timeout(300)
        assert complaints_of_the_engine(page) == {"light": [], "dark": []}


def test_the_engine_would_find_something(browser: Any, address: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="NOT TESTED: axe-playwright-python is not installed")
    engine = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    with opened(browser, f"{address}/", bypass_csp=True) as page:
        page.evaluate("document.querySelector('label[for=text]').remove()")
        page.evaluate(engine)
        found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
        assert "label" in {each["id"] for each in found["violations"]}


def test_light_and_dark_follow_the_system_and_motion_can_be_reduced(browser: Any, address: str) -> None:
    with opened(browser, f"{address}/#/") as page:
        settled(page, "#/")

        def brightness() -> float:
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(part) for part in ground[4:-1].split(",")) / 3

        assert brightness() > 200
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        assert brightness() < 60
        assert page.evaluate("getComputedStyle(document.querySelector('.twist'), '::before').transitionDuration") in (
            "0s",
            "",
        )
