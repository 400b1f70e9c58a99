"""Bars where somebody watches, one line in the log where nobody does."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest

from wotd.progress import progress, shown, track


class Terminal(io.StringIO):
    """A stderr that somebody watches."""

    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in place; by a call in the test, because pytest puts its own stderr in place before each."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    for name, value in {"WOTD_PROGRESS": "1", "COLUMNS": "100", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    return screen


def test_items_pass_unchanged() -> None:
    assert list(track([3, 1, 2], "counting")) == [3, 1, 2]
    assert list(track(iter("ab"), "spelling")) == ["a", "b"]
    assert list(track([], "nothing")) == []


def test_nothing_is_drawn_where_nobody_watches(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wotd.progress")
    assert not shown()
    list(track(range(5), "counting", unit="sheep"))
    assert capfd.readouterr() == ("", "")
    assert caplog.messages[0].startswith("counting: 5 sheep in 0.0 s")


def test_nothing_is_drawn_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    assert shown()
    monkeypatch.setenv("WOTD_PROGRESS", "0")
    assert not shown()
    list(track(range(5), "counting"))
    assert terminal.getvalue() == ""


def test_a_terminal_shows_count_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    with progress("embedding", total=40, unit="texts") as advance:
        advance(10)
        advance(30)
    drawn = terminal.getvalue()
    assert "embedding" in drawn
    assert "40/40" in drawn
    assert "texts/s" in drawn


def test_a_length_that_is_not_known_is_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch)
    assert list(track((n for n in range(3)), "reading")) == [0, 1, 2]
    assert "3/?" in terminal.getvalue()


def test_an_error_passes_and_the_bar_is_put_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = watched(monkeypatch)
    caplog.set_level(logging.INFO, "wotd.progress")

    def fail() -> None:
        with progress("failing", total=3) as advance:
            advance(1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert caplog.messages == []
    assert terminal.getvalue().endswith("\x1b[?25h"), "the cursor is visible again"


def test_no_stderr_at_all_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert list(track([1], "alone")) == [1]


def test_rich_is_imported_only_to_draw() -> None:
    code = "import sys, wotd.progress as p; list(p.track([1], 'x')); assert 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)
