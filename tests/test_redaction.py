"""What is kept out of messages and logs."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.redaction import redacted, redacted_logs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token hf_AbCdEf123456 is wrong", "token *** is wrong"),
        ("GET https://me:pass@hub.example/x", "GET https://***@hub.example/x"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("/x?access_token=abc&b=1", "/x?access_token=***&b=1"),
        ("batch_tokens=1024 in https://hub.example/a/b", "batch_tokens=1024 in https://hub.example/a/b"),
        ("nobody@example.org wrote", "nobody@example.org wrote"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, said: str) -> None:
    assert redacted(text) == said


@given(secret=st.text("abcdefgh-_.", min_size=6, max_size=30), around=st.text(max_size=20))
def test_the_tokens_of_the_environment_are_hidden_whatever_their_look(secret: str, around: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", secret)
        assert secret not in redacted(f"{around}{secret}{around}").replace("***", "")


def test_nested_and_parallel_uses_end_when_the_last_one_does(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogRecordFactory()
    with redacted_logs():
        with redacted_logs():
            pass
        other = threading.Thread(target=lambda: logging.getLogger("x").warning("with %s", "hf_AbCdEf123456"))
        other.start()
        other.join()
    assert logging.getLogRecordFactory() is before
    assert caplog.messages == ["with ***"]


def test_long_words_take_no_longer_than_their_length() -> None:
    began = time.process_time()
    assert redacted("a-" * 100_000) == "a-" * 100_000
    assert time.process_time() - began < 1
    assert redacted("my-token=x a.secret=y") == "my-token=*** a.secret=***"
