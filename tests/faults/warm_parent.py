"""A process that has imported everything and forks doors on request: real processes without seconds of imports each.

One line of JSON on stdin starts a door, or waits for one that was started; one line on stdout answers. A child that has
ended stays a zombie until it is waited for, so that its number is nobody else's and may be signalled safely.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any


def main() -> None:
    import sentence_transformers  # noqa: F401
    import torch

    import wotd.cli
    import wotd.inference
    import wotd.pipeline
    import wotd.report
    import wotd.train

    doors = {"wotd-train": wotd.train.main, "wotd": wotd.cli.main}
    torch.set_num_threads(1)  # a fork takes no threads along
    answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer({"status": os.waitstatus_to_exitcode(status)})
            continue
        child = os.fork()
        if not child:
            _become(request)
            _run(doors[request["door"]])
        answer({"pid": child})
    os._exit(0)  # nothing here is worth the seconds of taking it down


def answer(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def _become(request: dict[str, Any]) -> None:
    """Take the place that was asked for: streams, folder, environment, arguments, and the signals of a new process."""
    os.setsid()
    for stream, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        descriptor = os.open(path, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    sys.argv = [request["door"], *request["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _run(door: Any) -> None:
    """Leave as an interpreter does, but for what it would tear down of its parent."""
    status = 0
    try:
        door()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
