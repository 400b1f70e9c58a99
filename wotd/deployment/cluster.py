"""The machines of a training job as SageMaker describes them, and one process for each of their GPUs.

The processes are torchrun's, whoever starts it: SageMaker's toolkit where the job asks for
``torch_distributed``, else :func:`launch`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from wotd.errors import ConfigurationError

logger = logging.getLogger("wotd.deployment.cluster")

_PORT = "7777"
"""Where processes find each other unless MASTER_PORT says else; SageMaker opens it between the hosts of a job."""


@dataclass(frozen=True)
class Cluster:
    """Where a job runs.

    Attributes:
        hosts: names of all hosts, in the order that all of them see.
        rank: the place of this host among them.
        processes: how many processes train on each host.
        launched: whether this process is one of theirs already.
    """

    hosts: tuple[str, ...]
    rank: int
    processes: int
    launched: bool

    @classmethod
    def of(cls, environment: Mapping[str, str], settings: Mapping[str, Any]) -> Cluster:
        """The cluster of SM_HOSTS, SM_CURRENT_HOST and SM_NUM_GPUS; ``trainer.devices`` takes fewer GPUs, or CPUs.

        Raises:
            ConfigurationError: if the variables contradict each other.
        """
        current = environment.get("SM_CURRENT_HOST") or "localhost"
        hosts = _json(environment, "SM_HOSTS") or [current]
        if not isinstance(hosts, list) or current not in hosts:
            raise ConfigurationError(f"SM_HOSTS is {hosts}; expected a list that holds SM_CURRENT_HOST, {current!r}.")
        devices = settings.get("trainer.devices")
        wanted = devices if type(devices) is int and devices > 0 else int(environment.get("SM_NUM_GPUS") or 0) or 1
        if settings.get("trainer", "ddp") != "ddp" and len(hosts) == 1:
            wanted = 1
        launched = "RANK" in environment
        processes = int(environment.get("LOCAL_WORLD_SIZE") or 1) if launched else wanted
        return cls(tuple(map(str, hosts)), hosts.index(current), processes, launched)

    @property
    def alone(self) -> bool:
        """Whether one process trains alone."""
        return len(self.hosts) * self.processes == 1

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings, and what follows from the cluster.

        Raises:
            ConfigurationError: if they say otherwise.
        """
        if self.alone:
            return dict(given)
        count = len(self.hosts)
        for name, expected in (("trainer", "ddp"), ("trainer.num_nodes", count)):
            if given.get(name, expected) != expected:
                hosts = "1 host" if count == 1 else f"{count} hosts"
                raise ConfigurationError(
                    f"hyperparameter {name} is {given[name]}, but {hosts} of {self.processes} process"
                    f"{'es' if self.processes > 1 else ''} train together; leave it out, or give {expected}."
                )
        return {"trainer": "ddp", **given, "trainer.num_nodes": count}

    def refuse_shards(self, environment: Mapping[str, str], channels: Iterable[str]) -> None:
        """Refuse to let each host read other data under the same name.

        Raises:
            ConfigurationError: naming the channel that is spread over the hosts.
        """
        if len(self.hosts) == 1:
            return
        inputs = _json(environment, "SM_INPUT_DATA_CONFIG")
        for name in channels:
            told = inputs.get(name) if isinstance(inputs, dict) else None
            if isinstance(told, dict) and told.get("S3DistributionType") == "ShardedByS3Key":
                raise ConfigurationError(
                    f"channel {name} is ShardedByS3Key, so that each of {len(self.hosts)} hosts has a part of it; but "
                    "every host reads all of it and trains on its share: make it FullyReplicated."
                )


def launch(cluster: Cluster, script: Path, environment: Mapping[str, str]) -> NoReturn:
    """Become torchrun, which starts the processes of this host with the script and hands signals on to them."""
    nodes = (
        ["--standalone", "--nnodes=1"]
        if len(cluster.hosts) == 1
        else [
            f"--nnodes={len(cluster.hosts)}",
            f"--node-rank={cluster.rank}",
            f"--master-addr={cluster.hosts[0]}",
            f"--master-port={environment.get('MASTER_PORT') or _PORT}",
        ]
    )
    command = [sys.executable, "-m", "torch.distributed.run", *nodes, f"--nproc-per-node={cluster.processes}"]
    logger.info("host %d of %d: %s", cluster.rank + 1, len(cluster.hosts), " ".join(command[1:]))
    interface = environment.get("SM_NETWORK_INTERFACE_NAME")
    network = {"NCCL_SOCKET_IFNAME": interface} if interface and len(cluster.hosts) > 1 else {}
    os.execve(sys.executable, [*command, str(script)], {**network, **environment})


def _json(environment: Mapping[str, str], name: str) -> Any:
    try:
        return json.loads(environment.get(name) or "null")
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name} is not valid JSON: {error}.") from error
