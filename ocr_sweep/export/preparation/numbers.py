"""Small things that the steps of the preparation share."""

from __future__ import annotations

import onnx
from onnx import TensorProto
from onnxscript import opset18 as op
from onnxscript import script


def double(*values: float) -> TensorProto:
    """A constant in double precision: Python's arithmetic to the last bit. One value is a number, more are a vector."""
    return onnx.helper.make_tensor("", TensorProto.DOUBLE, [len(values)] if len(values) > 1 else [], values)


END = [2**62]  # of a slice that goes on to the last line
ZERO = double(0.0)


@script()
def counted(places, size):
    """(size,) double: how often each place occurs among `places` (n,)."""
    empty = op.Expand(op.Constant(value=ZERO), op.Reshape(size, [1]))
    ones = op.Expand(op.CastLike(1.0, empty), op.Shape(places))
    return op.ScatterElements(empty, places, ones, axis=0, reduction="add")


@script()
def between_ranks(flat, place):
    """() What stands at a place, in double, of the values (n,) in ascending order; between two of them linearly.

    A histogram finds the two bins that matter, so that few values are sorted.
    """
    low = op.ReduceMin(flat, keepdims=0)
    span = op.Max(op.ReduceMax(flat, keepdims=0) - low, 1e-9)
    bins = op.Cast(op.Min((flat - low) * (2048.0 / span), 2047.0), to=7)
    below = op.CumSum(counted(bins, 2048), 0)
    first = op.Floor(place)
    last = op.Ceil(place)
    at_first = op.ReduceSum(op.Cast(below <= first, to=7), keepdims=0)
    at_last = op.ReduceSum(op.Cast(below <= last, to=7), keepdims=0)
    few = op.Compress(flat, op.Or(bins == at_first, bins == at_last))
    least, _ = op.TopK(few, op.Reshape(op.Size(few), [1]), largest=0)
    before = op.ReduceSum(op.Where(below <= first, counted(bins, 2048), op.CastLike(0.0, below)), keepdims=0)
    lower = op.Gather(least, op.Cast(first - before, to=7))
    upper = op.Gather(least, op.Cast(last - before, to=7))
    return lower + (upper - lower) * op.Cast(place - first, to=1)


@script()
def quantile(values, chosen, share):
    """() The value below which a share, in double, of the values lies where `chosen` is true; one must be."""
    flat = op.Compress(op.Reshape(values, [-1]), op.Reshape(chosen, [-1]))
    return between_ranks(flat, op.Cast(op.Size(flat) - 1, to=11) * share)


@script()
def median(values, chosen):
    """() The median of the values where `chosen` is true; one must be."""
    return quantile(values, chosen, op.Constant(value=double(0.5)))


@script()
def any_within(mask, reach):
    """(H, W) bool Whether a pixel of the mask (H, W) lies within `reach` lines and columns."""
    near = op.Cast(op.Unsqueeze(mask, [0, 1]), to=1)
    for _ in range(reach):
        near = op.MaxPool(near, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return op.Squeeze(near, [0, 1]) > 0.0


@script()
def any_of(flags):
    """() bool Whether a flag is true; none of an empty vector is."""
    return op.ReduceSum(op.Cast(flags, to=7), keepdims=0) > 0
