"""A signal ends training after the batch at hand, everywhere at once."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException
from small_training import small_data, small_module, small_trainer

from wotd.callbacks.stopping import StopAfterBatch


class During(Callback):
    """Does something in the middle of the third batch, and counts the batches that come to their end."""

    def __init__(self, act: Any) -> None:
        self.act, self.ended, self.handlers = act, 0, []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        if trainer.global_step == 2:
            self.act()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.ended += 1


def send(signum: int) -> Any:
    return lambda: os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_the_batch_at_hand_is_finished(tmp_path: Path, signum: signal.Signals) -> None:
    data, during, stopping = small_data(tmp_path), During(send(signum)), StopAfterBatch()
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    trainer = small_trainer(during, stopping)
    with pytest.raises(SIGTERMException):
        trainer.fit(small_module(data), datamodule=data)
    assert during.ended == 3 == trainer.global_step
    assert stopping.received is signum
    stopping.release()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    data, stopping = small_data(tmp_path), StopAfterBatch()
    during = During(lambda: (send(signal.SIGINT)(), send(signal.SIGINT)()))
    with pytest.raises(SystemExit):  # what Lightning makes of KeyboardInterrupt
        small_trainer(during, stopping).fit(small_module(data), datamodule=data)
    assert during.ended == 2
    stopping.release()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_beside_the_main_thread_it_listens_to_nothing(tmp_path: Path) -> None:
    data, during, stopping = small_data(tmp_path), During(lambda: None), StopAfterBatch()
    fit = threading.Thread(target=small_trainer(during, stopping).fit, args=(small_module(data), None, None, data))
    fit.start()
    fit.join()
    stopping.release()
    assert during.ended == 12
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_processes_stop_after_the_same_batch_whichever_is_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two processes the other one is signalled; both hear of it when they next ask each other."""

    class Trainer:
        world_size, num_training_batches = 2, 20
        _signal_connector = type("Connector", (), {"received_sigterm": False})()

    asked: list[int] = []

    def all_reduce(number: torch.Tensor, operation: object) -> None:
        asked.append(int(number))
        number.fill_(signal.SIGTERM)

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    stopping, trainer = StopAfterBatch(), Trainer()
    module = type("Module", (), {"device": torch.device("cpu")})()
    for batch_idx in range(7):
        stopping.on_train_batch_end(trainer, module, None, None, batch_idx)
    assert not asked
    stopping.on_train_batch_end(trainer, module, None, None, 7)
    assert asked == [0]
    assert stopping.received is signal.SIGTERM
    assert trainer._signal_connector.received_sigterm
    stopping.on_train_batch_end(trainer, module, None, None, 19)
    assert len(asked) == 2, "at the end of an epoch too, however short"
