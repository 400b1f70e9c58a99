"""Batches of texts that cost about the same: of like length, and of so many tokens with their padding.

N texts.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_CHARACTERS_PER_TOKEN = 40
_SPARE_TOKENS = 128
_OFTEN_CHARACTERS_PER_TOKEN = 4
_MOST_TEXTS = 4096


def plan_batches(lengths: Sequence[int] | NDArray[np.integer], budget: int) -> list[Rows]:
    """Cut N texts into batches, the longest texts first.

    Args:
        lengths: tokens of each text, [N].
        budget: most tokens of a batch, padding included; a text that is longer alone is a batch of its own.

    Returns:
        Rows of each batch; every row is in one batch, and within and over batches lengths never grow.
    """
    lengths_N = np.asarray(lengths, np.int64)
    order_N = np.argsort(-lengths_N, kind="stable")
    batches, start = [], 0
    while start < len(order_N):
        longest = max(1, int(lengths_N[order_N[start]]))
        end = start + min(_MOST_TEXTS, max(1, budget // longest))
        batches.append(order_N[start:end])
        start = end
    return batches


class TokenCounter:
    """Counts what a network will read of a text, with a tokenizer of its own.

    The network's own tokenizer keeps padding and truncation as state; using it otherwise beside another
    thread's batch would change that state under its hands.
    """

    def __init__(self, tokenizer: Any, limit: int | None, prompt: str) -> None:
        """Take a copy of the tokenizer.

        Args:
            tokenizer: the network's.
            limit: tokens that the network reads at most; None: texts of any length, as static models and bags of
                words do, whose tokenizers are of other kinds and whose cost goes by characters.
            prompt: stands before every text.
        """
        self._limit = limit
        self._tokenizer: Any = copy.deepcopy(tokenizer) if limit and callable(tokenizer) else None
        self._lock = threading.Lock()
        self._beside = self._count_all([prompt])[0] if prompt and self._tokenizer else 0

    def count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of each text with its prompt, up to the model's limit, [N]; an estimate for models without one."""
        if self._tokenizer is None:
            return np.fromiter((len(text) // _OFTEN_CHARACTERS_PER_TOKEN + 1 for text in texts), np.int64, len(texts))
        counts = np.asarray(self._count_all(texts), np.int64) + self._beside
        return np.minimum(counts, self._limit or counts)

    def bounded(self, text: str) -> str:
        """The text, or a beginning of it that holds all the tokens the model will look at.

        Past 2,560 characters a token nothing is looked for: only blanks or one endless word go so far.
        """
        limit = self._limit
        if not limit or self._tokenizer is None or len(text) <= limit * _CHARACTERS_PER_TOKEN:
            return text
        length = limit * _CHARACTERS_PER_TOKEN
        for _ in range(3):
            if self._count_all([text[:length]])[0] >= limit + _SPARE_TOKENS or length >= len(text):
                break
            length *= 4
        return text[:length]

    def _count_all(self, texts: Sequence[str]) -> list[int]:
        with self._lock:
            read = self._tokenizer(
                list(texts),
                padding=False,
                truncation=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
        return [len(tokens) for tokens in read["input_ids"]]
