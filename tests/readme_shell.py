"""What stands in for ``python``, ``wotd`` and ``wotd-train`` while the README is tried: trainings become small.

python readme_shell.py python|wotd|wotd-train ARGUMENTS…
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

TRAINING = ["-m", "wotd.train"]
SERVER_SECONDS = 120


def smaller(arguments: list[str]) -> list[str]:
    """Arguments of a training, with more behind them that make it small; the last one of a key counts."""
    if "--help" in arguments:
        return arguments
    told = " ".join(arguments)
    more = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "logger=csv", "~callbacks.pictures"]
    if "+experiment=deep" in arguments:
        more += ["model.level_sizes=[8,8]", "model.latent_dim=8", "model.quantizer.rounds=2"]
    elif "provider=" not in told:
        more += ["provider.n_works=24", "provider.passages_per_work=4"]
    if "+sweep=embeddings" in arguments:
        more += ["data.batch_size=64"]
    if "+sweep=losses" in arguments:
        more += ["model.losses={},{entropy:0}"]
    if "+sweep=optuna" in arguments:
        more += ["hydra.sweeper.n_trials=2"]
    return [*arguments, *more]


def serve(arguments: list[str]) -> int:
    """Start the server on a free port, ask it whether it is well, and stop it; 0 where it was."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    arguments[arguments.index("--port") + 1] = port
    server = subprocess.Popen([sys.executable, "-m", "wotd.cli", *arguments])
    try:
        return 0 if _answers(f"http://127.0.0.1:{port}/ping", server) else 1
    finally:
        server.terminate()
        server.wait()


def _answers(address: str, server: subprocess.Popen[bytes]) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with opener.open(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


if __name__ == "__main__":
    name, *given = sys.argv[1:]
    match name:
        case "wotd" if given[:1] == ["serve"]:
            sys.exit(serve(given))
        case "wotd":
            command = ["-m", "wotd.cli", *given]
        case "wotd-train":
            command = [*TRAINING, *smaller(given)]
        case _:
            command = [*TRAINING, *smaller(given[2:])] if given[:2] == TRAINING else given
    os.execv(sys.executable, [sys.executable, *command])
