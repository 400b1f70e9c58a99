"""What SageMaker's variables say of hosts and GPUs, as processes and settings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wotd.deployment.cluster import Cluster
from wotd.errors import ConfigurationError

TWO_HOSTS = {"SM_HOSTS": '["algo-1", "algo-2"]', "SM_CURRENT_HOST": "algo-2"}


@pytest.mark.parametrize(
    ("environment", "settings", "expected"),
    [
        ({}, {}, Cluster(("localhost",), 0, 1, False)),
        ({"SM_NUM_GPUS": "0"}, {}, Cluster(("localhost",), 0, 1, False)),
        ({"SM_CURRENT_HOST": "algo-1", "SM_NUM_GPUS": "4"}, {}, Cluster(("algo-1",), 0, 4, False)),
        ({"SM_NUM_GPUS": "4"}, {"trainer.devices": 2}, Cluster(("localhost",), 0, 2, False)),
        ({"SM_NUM_GPUS": "4"}, {"trainer.devices": "auto"}, Cluster(("localhost",), 0, 4, False)),
        ({"SM_NUM_GPUS": "4"}, {"trainer": "default"}, Cluster(("localhost",), 0, 1, False)),
        ({**TWO_HOSTS, "SM_NUM_GPUS": "8"}, {}, Cluster(("algo-1", "algo-2"), 1, 8, False)),
        ({**TWO_HOSTS, "RANK": "3", "LOCAL_WORLD_SIZE": "2"}, {}, Cluster(("algo-1", "algo-2"), 1, 2, True)),
    ],
)  # fmt: skip
def test_a_process_for_each_gpu(environment: dict[str, str], settings: dict[str, Any], expected: Cluster) -> None:
    assert Cluster.of(environment, settings) == expected


def test_one_process_needs_no_settings() -> None:
    given = {"seed": 1, "trainer": "default", "trainer.num_nodes": 1}
    assert Cluster(("a",), 0, 1, False).settings(given) == given


def test_several_train_as_one() -> None:
    assert Cluster(("a",), 0, 4, False).settings({"seed": 1}) == {"seed": 1, "trainer": "ddp", "trainer.num_nodes": 1}
    given = {"trainer": "ddp", "trainer.max_epochs": 2}
    assert Cluster(("a", "b"), 1, 1, False).settings(given) == {**given, "trainer.num_nodes": 2}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"trainer": "default"}, "trainer is default, but 2 hosts of 8 processes train together; .* or give ddp"),
        ({"trainer.num_nodes": 4}, r"trainer\.num_nodes is 4, but 2 hosts .* or give 2"),
    ],
)
def test_settings_that_say_otherwise_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Cluster(("a", "b"), 0, 8, False).settings(given)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SM_HOSTS": "["}, "SM_HOSTS is not valid JSON"),
        ({"SM_HOSTS": '["algo-1"]', "SM_CURRENT_HOST": "algo-7"}, "a list that holds SM_CURRENT_HOST, 'algo-7'"),
        ({"SM_HOSTS": '"algo-1"', "SM_CURRENT_HOST": "algo-1"}, "SM_HOSTS is algo-1; expected a list"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Cluster.of(environment, {})


def test_a_channel_in_parts_is_refused_where_there_are_several_hosts() -> None:
    inputs = {"corpus": {"S3DistributionType": "ShardedByS3Key"}, "vectors": {"S3DistributionType": "FullyReplicated"}}
    environment = {"SM_INPUT_DATA_CONFIG": json.dumps(inputs)}
    two = Cluster(("a", "b"), 0, 1, False)
    two.refuse_shards(environment, ["vectors", "unheard of"])
    two.refuse_shards({}, ["corpus"])
    Cluster(("a",), 0, 4, False).refuse_shards(environment, ["corpus"])
    with pytest.raises(
        ConfigurationError, match="channel corpus is ShardedByS3Key, so that each of 2 hosts has a part"
    ):
        two.refuse_shards(environment, ["vectors", "corpus"])
