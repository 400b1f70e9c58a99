"""Pictures of a run's report and of TensorBoard, as a browser shows them: report.png and tensorboard.png.

Needs Chromium on the path and what `make setup` installs.
"""

from __future__ import annotations

import argparse
import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

TAGS = "train/loss|val/(loss|level_0/(codes|perplexity)|codes_by|confusion|ami$|agreement/style)"


def main() -> None:
    """Take both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder of the pictures")
    options = parser.parse_args()
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        raise SystemExit("there is no chromium on the path")
    with sync_playwright() as playwright, tensorboard(options.run) as address:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1500})
        page.goto((options.run / "artifacts" / "report.html").absolute().as_uri())
        page.wait_for_selector("body[data-drawn]")
        save(page, options.output / "report.png")
        page = browser.new_page(viewport={"width": 1640, "height": 1080})
        page.goto(f"{address}/?darkMode=false&tagFilter={TAGS}#timeseries", wait_until="networkidle")
        page.locator("button:has-text('Settings')").first.click()
        page.wait_for_timeout(12_000)  # lines are drawn some time after their axes
        save(page, options.output / "tensorboard.png")
        browser.close()


def save(page: Page, path: Path) -> None:
    """What is in view, in few colours: such pictures have no others."""
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").quantize(128).save(path, optimize=True)


@contextmanager
def tensorboard(run: Path) -> Iterator[str]:
    """A TensorBoard of the run on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", run / "tensorboard", "--port", str(port)]
    server = subprocess.Popen([*command, "--host", "127.0.0.1"], stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(address, timeout=1).read()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        time.sleep(5)  # it reads the events after it has begun to answer
        yield address
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
