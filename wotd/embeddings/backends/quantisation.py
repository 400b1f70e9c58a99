"""Linear layers of an ONNX graph in int8: activations by stored ranges, weights by output channel.

A few channels of a transformer's activations are many times larger than the rest, and a scale that holds them
leaves the rest a few steps. They are divided by a factor before they are rounded, and the weights they meet are
multiplied by it, which changes nothing else (SmoothQuant, Xiao et al. 2023, arXiv:2211.10438; here a channel is
divided only as far as it exceeds the 90th percentile of channels). Weights have 7 bits: sums of two products of 8
bits overflow 16 bits on processors without VNNI, which would give each kind of processor vectors of its own.

C input channels, O output channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from wotd.embeddings.backends.calibration import Calibration
from wotd.errors import EmbeddingError

_LARGEST_WEIGHT = 63
_STEPS = 255
_USUAL_SHARE = 0.9


def quantised(path: Path, body: torch.nn.Module, calibration: Calibration) -> bytes:
    """The graph at a path with every calibrated linear layer in int8.

    Args:
        path: of the float32 graph.
        body: what it was exported from; its layers are found in the graph by their weights.
        calibration: ranges by layer.

    Raises:
        EmbeddingError: if there is no layer to which it applies.
    """
    model = onnx.load(path)
    graph = model.graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    layers = {
        _key(layer.weight.detach().numpy().T): name
        for name, layer in body.named_modules()
        if isinstance(layer, torch.nn.Linear) and name in calibration.lowest
    }
    made: list[Any] = []
    nodes: list[Any] = []
    quantised_inputs: dict[str, tuple[str, NDArray[np.float32]]] = {}
    replaced: set[str] = set()

    def constant(name: str, values: Any) -> str:
        made.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    for node in graph.node:
        weight = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        layer = layers.get(_key(weight)) if weight is not None and weight.ndim == 2 else None
        if weight is None or layer is None:
            nodes.append(node)
            continue
        source = node.input[0]
        if source not in quantised_inputs:
            factors_C, low, high = _ranges(calibration, layer)
            scale = np.float32((high - low) / _STEPS)
            zero = np.uint8(np.clip(np.round(-low / scale), 0, _STEPS))
            names = constant(f"{source}_scale", scale), constant(f"{source}_zero", zero)
            evened, rounded, back = f"{source}_evened", f"{source}_rounded", f"{source}_back"
            nodes.append(helper.make_node("Mul", [source, constant(f"{source}_factors", 1 / factors_C)], [evened]))
            nodes.append(helper.make_node("QuantizeLinear", [evened, *names], [rounded]))
            nodes.append(helper.make_node("DequantizeLinear", [rounded, *names], [back]))
            quantised_inputs[source] = back, factors_C
        back, factors_C = quantised_inputs[source]
        name = node.input[1]
        if name not in replaced:
            weight_CO = weight * factors_C[:, None]
            scales_O = np.maximum(np.abs(weight_CO).max(0) / _LARGEST_WEIGHT, 1e-12).astype(np.float32)
            values = np.clip(np.round(weight_CO / scales_O), -_LARGEST_WEIGHT, _LARGEST_WEIGHT).astype(np.int8)
            parts = [
                constant(f"{name}_int8", values),
                constant(f"{name}_scales", scales_O),
                constant(f"{name}_zeros", np.zeros(len(scales_O), np.int8)),
            ]
            nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}_back"], axis=1))
            replaced.add(name)
        changed = onnx.NodeProto()
        changed.CopyFrom(node)
        changed.input[0], changed.input[1] = back, f"{name}_back"
        nodes.append(changed)
    if not replaced:
        raise EmbeddingError(
            "none of the model's linear layers was found in its exported graph by the calibration, so nothing would be "
            "computed in int8; choose another embedding.precision."
        )
    kept = [each for each in graph.initializer if each.name not in replaced]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *made])
    return bytes(model.SerializeToString())


def _ranges(calibration: Calibration, layer: str) -> tuple[NDArray[np.float32], float, float]:
    """By what each channel is divided, [C], and the range of all channels after that; it includes zero."""
    low_C, high_C = np.asarray(calibration.lowest[layer]), np.asarray(calibration.highest[layer])
    largest_C = np.maximum(np.abs(low_C), np.abs(high_C))
    usual = max(float(np.quantile(largest_C, _USUAL_SHARE)), 1e-6)
    factors_C = np.maximum(1.0, largest_C / usual).astype(np.float32)
    low, high = min(0.0, float((low_C / factors_C).min())), max(0.0, float((high_C / factors_C).max()))
    return factors_C, low, max(high, low + 1e-6)


def _key(weight: NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
    return weight.shape, np.ascontiguousarray(weight).tobytes()
