"""A started quantizer, with tables at one level or more, of which labels teach none, some or all."""

from __future__ import annotations

import pytest
from started_quantizers import TABLES, quantizer

from wotd.quantization import HierarchicalVectorQuantizer


@pytest.fixture(params=TABLES)
def max_prefixes(request: pytest.FixtureRequest) -> int:
    return TABLES[request.param]


@pytest.fixture(params=[(), (0, 1), (1,), (0, 1, 2)], ids=["free", "named", "middle", "all_taught"])
def hvq(request: pytest.FixtureRequest, max_prefixes: int) -> HierarchicalVectorQuantizer:
    return quantizer(request.param, max_prefixes=max_prefixes)
