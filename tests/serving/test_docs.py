"""The page that explains the API, in a real browser, with nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from browser import chromium
from running_server import running

from wotd import SemanticIDModel
from wotd.serving import create_app

pytest_plugins = ("artifact_fixtures",)


def test_the_api_is_explained_and_tried_without_asking_elsewhere(text_artifacts: Path) -> None:
    with running(create_app(SemanticIDModel.load(text_artifacts))) as url, chromium() as browser:
        page = browser.new_page()
        complaints, asked = [], []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/docs")
        page.get_by_role("button", name="POST /encode Encode").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        page.get_by_text('"confidence"').first.wait_for()
        assert page.get_by_role("button", name="GET /metrics Metrics").is_visible()
        assert not complaints
        assert all(each.startswith((url, "data:")) for each in asked), asked
