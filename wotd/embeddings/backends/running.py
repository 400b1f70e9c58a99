"""Bodies that other backends run, in the place of a network's transformer.

B texts, T tokens, H width of the hidden states.
"""

from __future__ import annotations

import functools
import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch


class Body(torch.nn.Module, ABC):
    """Stands where the transformer stood. Safe to call from several threads, one batch each."""

    inputs: tuple[str, ...]

    def __init__(self, config: Any) -> None:
        """Keep the configuration of the transformer, which others ask for."""
        super().__init__()
        self.config = config
        # What asks a network for its device asks its parameters.
        self.register_parameter("place", torch.nn.Parameter(torch.zeros(1), requires_grad=False))

    def forward(self, **features: Any) -> Any:
        """Hidden states of a batch, as a transformer hands them over."""
        from transformers.modeling_outputs import BaseModelOutput

        arrays = {name: features[name].numpy() for name in self.inputs}
        return BaseModelOutput(last_hidden_state=torch.from_numpy(self.run(arrays)))

    @abstractmethod
    def run(self, arrays: dict[str, Any]) -> Any:
        """Hidden states of a batch, float32 [B, T, H], from its int64 inputs, each [B, T]."""


class OnnxBody(Body):
    """Run by ONNX Runtime, with the cores torch has in the calling thread."""

    def __init__(self, config: Any, graph: Path | bytes, precision: str) -> None:
        """Load a graph, which itself holds its number format."""
        super().__init__(config)
        del precision
        self._graph = graph if isinstance(graph, bytes) else str(graph)
        self._sessions: dict[int, Any] = {}
        self._opening = threading.Lock()
        self.inputs = tuple(each.name for each in self._session().get_inputs())

    def run(self, arrays: dict[str, Any]) -> Any:
        """One batch."""
        return self._session().run(None, arrays)[0]

    def _session(self) -> Any:
        cores = torch.get_num_threads()
        with self._opening:
            if cores not in self._sessions:
                import onnxruntime

                options = onnxruntime.SessionOptions()
                options.intra_op_num_threads = cores
                options.inter_op_num_threads = 1
                options.log_severity_level = 3
                self._sessions[cores] = onnxruntime.InferenceSession(
                    self._graph, options, providers=["CPUExecutionProvider"]
                )
            return self._sessions[cores]


class OpenVinoBody(Body):
    """Run by OpenVINO on the CPU, each batch on a core."""

    def __init__(self, config: Any, graph: Path | bytes, precision: str) -> None:
        """Compile a graph.

        Raises:
            ValueError: if the processor does not compute in that number format.
        """
        super().__init__(config)
        core = _core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ValueError("this processor does not compute in bfloat16")
        # Without the hint it would compute in bfloat16 wherever a processor can.
        hint = {"bfloat16": "bf16"}.get(precision, "f32")
        cores = torch.get_num_threads()
        self._compiled = core.compile_model(
            core.read_model(graph),
            "CPU",
            {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": cores},
        )
        self.inputs = tuple(each.get_any_name() for each in self._compiled.inputs)

    def run(self, arrays: dict[str, Any]) -> Any:
        """One batch."""
        request = self._compiled.create_infer_request()  # one a call: requests are not shared between threads
        return request.infer(arrays)[self._compiled.output(0)].copy()


@functools.cache
def _core() -> Any:
    """The process's one core of OpenVINO, kept for good, without two traps that come along.

    A core sets the stack that its thread runs handlers of signals on, and frees it when it goes. Of two cores, the
    stack of the one that went first comes back with the end of the other, and the next signal ends the process.

    The import sets up the log of absl, which keeps the stderr of that moment and closes it when logging is configured
    anew, as Hydra does, if by then another one stands in its place (a notebook's, a test's). The system's own stderr
    it leaves open.
    """
    import openvino

    absl = sys.modules.get("absl.logging")
    if absl is not None:
        absl.get_absl_handler().python_handler.stream = sys.__stderr__
    return openvino.Core()


BODIES: dict[str, type[OnnxBody | OpenVinoBody]] = {"onnx": OnnxBody, "openvino": OpenVinoBody}
