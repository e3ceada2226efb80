"""Resizing as products of matrices: cut out, scale and place in one step, whatever the sizes are."""

from __future__ import annotations

from onnxscript import opset18 as op
from onnxscript import script


@script()
def area_weights(target, start, length, extent):
    """(target, extent) What each line of a source gives to each line of the result, along one axis, by area.

    The result shows `length` lines from `start` on, of `extent`. All are numbers in double.
    """
    zero = op.CastLike(0.0, target)
    one = op.CastLike(1.0, target)
    begin = op.Unsqueeze(op.Range(zero, target, one), [1]) * (length / target)
    source = op.Unsqueeze(op.Range(zero, extent, one), [0]) - start
    shared = op.Min(begin + length / target, op.Min(source + one, length)) - op.Max(begin, op.Max(source, zero))
    return op.Cast(op.Max(shared, zero) * (target / length), to=1)


@script()
def linear_weights(target, start, length, extent):
    """(target, extent) The same by linear interpolation; the ends go on as they are."""
    zero = op.CastLike(0.0, target)
    one = op.CastLike(1.0, target)
    line = op.Unsqueeze(op.Range(zero, target, one), [1])
    place = op.Min(op.Max((line + 0.5) * (length / target) - 0.5, zero), length - one)
    source = op.Unsqueeze(op.Range(zero, extent, one), [0]) - start
    return op.Cast(op.Max(one - op.Abs(place - source), zero), to=1)


@script()
def shrink(image, height, width):
    """(height, width) of an image (H, W), by area; sizes in double."""
    sides = op.Cast(op.Shape(image), to=11)
    zero = op.CastLike(0.0, height)
    down = area_weights(height, zero, op.Gather(sides, 0), op.Gather(sides, 0))
    across = area_weights(width, zero, op.Gather(sides, 1), op.Gather(sides, 1))
    return op.MatMul(op.MatMul(down, image), op.Transpose(across, perm=[1, 0]))


@script()
def grow(image, height, width):
    """(height, width) of an image (H, W), linearly; sizes in double."""
    sides = op.Cast(op.Shape(image), to=11)
    zero = op.CastLike(0.0, height)
    down = linear_weights(height, zero, op.Gather(sides, 0), op.Gather(sides, 0))
    across = linear_weights(width, zero, op.Gather(sides, 1), op.Gather(sides, 1))
    return op.MatMul(op.MatMul(down, image), op.Transpose(across, perm=[1, 0]))
