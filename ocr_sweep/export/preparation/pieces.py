"""Connected pieces of ink, and the box of those that belong to the character: `corpus.glyphs.ink_box` as a graph.

A picture's ink is taken as its runs, solid pixels side by side in a line: there are far fewer of them than pixels.
"""

from __future__ import annotations

from onnxscript import opset18 as op
from onnxscript import script

from ocr_sweep.corpus.glyphs import SPECK_SHARE, STRAY_GAP, STROKE_SHARE
from ocr_sweep.export.preparation.numbers import END, ZERO, any_of, double

SPECK = double(SPECK_SHARE)
STROKE = double(STROKE_SHARE)
STRAY = double(STRAY_GAP)
FAR = 1e9


@script()
def run_ends(solid):
    """Two masks (H, W) of a mask (H, W): where a run begins, and where one ends."""
    levels = op.Cast(solid, to=1)
    before = op.Slice(op.Pad(levels, [0, 1, 0, 0]), [0], [-1], [1]) > 0.0
    after = op.Slice(op.Pad(levels, [0, 0, 0, 1]), [1], END, [1]) > 0.0
    return op.And(solid, op.Not(before)), op.And(solid, op.Not(after))


@script()
def runs_of(solid):
    """(R,) three times, int64: the line of each run of a mask (H, W), its first and its last column; in reading order."""
    begins, ends = run_ends(solid)
    line, first = op.Split(op.NonZero(begins), num_outputs=2, axis=0)
    _, last = op.Split(op.NonZero(ends), num_outputs=2, axis=0)
    return op.Squeeze(line, [0]), op.Squeeze(first, [0]), op.Squeeze(last, [0])


@script()
def numbered(begins, solid):
    """(H, W) int64: the number of each pixel's run in reading order, from 1; 0 outside of all."""
    order = op.CumSum(op.Cast(op.Reshape(begins, [-1]), to=7), 0)
    return op.Reshape(order, op.Shape(solid)) * op.Cast(solid, to=7)


@script()
def contacts(number, begins, ends):
    """(E,) and (E,) Runs of neighbouring lines that touch, also by their corners: the upper and the lower one's number."""
    upper = op.Slice(number, [0], [-1], [0])
    lower = op.Slice(number, [1], END, [0])
    upper_begins = op.Slice(begins, [0], [-1], [0])
    lower_begins = op.Slice(begins, [1], END, [0])
    upper_ends = op.Slice(ends, [0], [-1], [0])
    lower_ends = op.Slice(ends, [1], END, [0])
    above = op.And(op.And(upper > 0, lower > 0), op.Or(upper_begins, lower_begins))
    down_right = op.And(op.Slice(upper_ends, [0], [-1], [1]), op.Slice(lower_begins, [1], END, [1]))
    down_left = op.And(op.Slice(upper_begins, [1], END, [1]), op.Slice(lower_ends, [0], [-1], [1]))
    uppers = op.Concat(
        op.Compress(upper, op.Reshape(above, [-1])),
        op.Compress(op.Slice(upper, [0], [-1], [1]), op.Reshape(down_right, [-1])),
        op.Compress(op.Slice(upper, [1], END, [1]), op.Reshape(down_left, [-1])),
        axis=0,
    )
    lowers = op.Concat(
        op.Compress(lower, op.Reshape(above, [-1])),
        op.Compress(op.Slice(lower, [1], END, [1]), op.Reshape(down_right, [-1])),
        op.Compress(op.Slice(lower, [0], [-1], [1]), op.Reshape(down_left, [-1])),
        axis=0,
    )
    return uppers, lowers


@script()
def united(uppers, lowers, count):
    """(R + 1,) int64: the piece of each of `count` runs, from 1; the first number, that of no run, is 0.

    Every run points to one of its piece. The lower of two that touch is hooked on to the higher, and pointers are doubled, until
    all of a piece point to its last: rounds grow with the logarithm of the longest way.
    """
    target = op.Range(0, count + 1, 1)
    moving = op.Size(uppers) > 0
    while moving:
        one = op.Gather(target, uppers)
        other = op.Gather(target, lowers)
        target = op.ScatterElements(target, op.Min(one, other), op.Max(one, other), axis=0, reduction="max")
        target = op.Gather(target, target)
        target = op.Gather(target, target)
        moving = any_of(op.Not(one == other))
    last = target == op.Range(0, count + 1, 1)
    return op.Gather(op.CumSum(op.Cast(last, to=7), 0) - 1, target)


@script()
def connected(solid):
    """number (H, W) and piece (R + 1,), int64: the run of each pixel of a mask, and the piece of each run; 0 outside of all."""
    begins, ends = run_ends(solid)
    number = numbered(begins, solid)
    uppers, lowers = contacts(number, begins, ends)
    return number, united(uppers, lowers, op.ReduceMax(number, keepdims=0))


@script()
def per_piece(piece, values, count):
    """(P + 1,) double: the least of the values (R,) over each piece's runs; the first number stands for no piece."""
    start = op.Expand(op.CastLike(FAR, values), op.Reshape(count + 1, [1]))
    return op.ScatterElements(start, piece, values, axis=0, reduction="min")


@script()
def sizes(piece, first, last, count):
    """(P + 1,) double: the pixels of each piece."""
    start = op.Expand(op.Constant(value=ZERO), op.Reshape(count + 1, [1]))
    return op.ScatterElements(start, piece, op.Cast(last - first + 1, to=11), axis=0, reduction="add")


@script()
def corners(piece, line, first, last, count):
    """(P + 1, 4) double: left, top, right and bottom of each piece; right and bottom are one past the last."""
    y = op.Cast(line, to=11)
    left = per_piece(piece, op.Cast(first, to=11), count)
    top = per_piece(piece, y, count)
    right = 1.0 - per_piece(piece, op.Cast(-last, to=11), count)
    bottom = 1.0 - per_piece(piece, -y, count)
    one = [1]
    return op.Concat(op.Unsqueeze(left, one), op.Unsqueeze(top, one), op.Unsqueeze(right, one), op.Unsqueeze(bottom, one), axis=1)


@script()
def hull(corner, chosen):
    """(4,) The box around the chosen pieces (P + 1,)."""
    off = (1.0 - op.Unsqueeze(op.Cast(chosen, to=11), [1])) * FAR
    low = op.ReduceMin(op.Slice(corner, [0], [2], [1]) + off, [0], keepdims=0)
    high = op.ReduceMax(op.Slice(corner, [2], [4], [1]) - off, [0], keepdims=0)
    return op.Concat(low, high, axis=0)


@script()
def distance(corner, box):
    """(P + 1,) How far each piece lies from a box (4,), along the axis where it is farther; below 0 where they overlap."""
    before = op.Slice(corner, [0], [2], [1]) - op.Slice(box, [2], [4], [0])
    behind = op.Slice(box, [0], [2], [0]) - op.Slice(corner, [2], [4], [1])
    return op.ReduceMax(op.Max(before, behind), [1], keepdims=0)


@script()
def ink_box(area, corner, shape):
    """(4,) left, top, right, bottom of the ink without specks and strays.

    Pieces that do not count have area 0; there must be one that does.
    """
    total = op.ReduceSum(area, keepdims=0)
    stroke = op.Constant(value=STROKE) * total
    large = op.And(area > 0.0, area >= op.Min(stroke, op.ReduceMax(area, keepdims=0)))
    small = op.And(op.And(area > 0.0, area >= op.Constant(value=SPECK) * total), area < stroke)
    reach = op.Constant(value=STRAY) * op.Cast(op.ReduceMax(shape, keepdims=0), to=11)
    taken = op.Identity(large)
    growing = any_of(small)
    while growing:
        near = distance(corner, hull(corner, taken)) <= reach
        fresh = op.And(op.And(small, op.Not(taken)), near)
        taken = op.Or(taken, fresh)
        growing = any_of(fresh)
    return hull(corner, taken)
