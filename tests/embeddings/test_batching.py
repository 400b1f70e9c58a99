from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wotd.embeddings.batching import TokenCounter, plan_batches


@given(st.lists(st.integers(0, 300), max_size=80), st.integers(1, 2_000))
def test_every_text_is_in_one_batch_of_no_more_than_the_budget(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        padded = len(rows) * max(1, max(lengths[row] for row in rows))
        assert padded <= budget or len(rows) == 1


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80), st.integers(300, 2_000))
def test_batches_are_as_large_as_the_budget_lets_them_be(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    for rows in batches[:-1]:
        assert (len(rows) + 1) * lengths[rows[0]] > budget
    flat = [lengths[row] for rows in batches for row in rows]
    assert flat == sorted(lengths, reverse=True)


def test_a_text_of_no_length_costs_something() -> None:
    assert all(len(rows) <= 4096 for rows in plan_batches(np.zeros(100_000, int), 1_000_000))


@pytest.fixture(scope="module")
def counter(tiny_model_path: Path) -> TokenCounter:
    from transformers import AutoTokenizer

    return TokenCounter(AutoTokenizer.from_pretrained(str(tiny_model_path)), 64, "")


def test_tokens_are_counted_as_the_network_reads_them(counter: TokenCounter, tiny_model_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(str(tiny_model_path), device="cpu")
    texts = ["", "rain", "the wind was cold and the sea was dark", "sea " * 500]
    for prompt in ("", "the rain: "):
        counts = TokenCounter(network.tokenizer, network.max_seq_length, prompt).count(texts)
        for text, count in zip(texts, counts, strict=True):
            read = network.preprocess([text], prompt=prompt or None)["attention_mask"].sum()
            assert read <= count <= read + 2, "the special tokens of the prompt may count twice, nothing else"


def test_counting_leaves_the_networks_tokenizer_alone(tiny_model_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(str(tiny_model_path), device="cpu")
    network.encode(["rain"])
    state = network.tokenizer._tokenizer.padding, network.tokenizer._tokenizer.truncation
    assert state[0]
    TokenCounter(network.tokenizer, 64, "query: ").count(["sea " * 500])
    assert (network.tokenizer._tokenizer.padding, network.tokenizer._tokenizer.truncation) == state


def test_threads_may_count_at_once(counter: TokenCounter) -> None:
    texts = ["the sea " * n for n in range(1, 200)]
    expected = counter.count(texts)

    def count(_: int) -> np.ndarray:
        assert counter.bounded("x" * 9_000).startswith("x")
        return counter.count(texts)

    with ThreadPoolExecutor(8) as pool:
        for counts in pool.map(count, range(16)):
            np.testing.assert_array_equal(counts, expected)


def test_models_that_read_any_length_are_estimated_by_characters() -> None:
    counter = TokenCounter(object(), None, "")
    np.testing.assert_array_equal(counter.count(["", "abcd", "x" * 400]), [1, 2, 101])
    assert counter.bounded("x" * 10**6) == "x" * 10**6
