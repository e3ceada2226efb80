"""Pieces of neighbouring characters that enter from an edge: `corpus.intrusions` as a graph."""

from __future__ import annotations

from onnxscript import opset18 as op
from onnxscript import script

from ocr_sweep.corpus.glyphs import (
    INK_LEVEL,
    INTRUSION_CUT,
    INTRUSION_DEPTH,
    INTRUSION_GAP,
    INTRUSION_SHARE,
    SPECK_SHARE,
    TIGHT_GAP,
)
from ocr_sweep.corpus.intrusions import EDGE, PADDING_FLAT, PADDING_STEP, PAPER_IN_LINE
from ocr_sweep.export.preparation.numbers import END, ZERO, any_of, any_within, double, median
from ocr_sweep.export.preparation.pieces import distance, ink_box, runs_of

FLAT = double(PADDING_FLAT)
IN_LINE = double(PAPER_IN_LINE)
NEAR_INK = double(0.02)
TOUCHES = double(EDGE)
DEPTH = double(INTRUSION_DEPTH)
CUT = double(INTRUSION_CUT)
GAP = double(INTRUSION_GAP)
SHARE = double(INTRUSION_SHARE)
SPECK = double(SPECK_SHARE)
TIGHT = double(TIGHT_GAP)
SIGNS = double(1.0, 1.0, -1.0, -1.0)


@script()
def span(paper, bare, count):
    """(2,) double: the first and one past the last line that is paper; both 0 if too few are.

    Args are counts of pixels in each line (n,), and n.
    """
    line = op.And(paper > op.Constant(value=IN_LINE) * op.Max(bare, 1.0), paper > 0.0)
    place = op.Range(op.CastLike(0.0, count), count, op.CastLike(1.0, count))
    far = (1.0 - op.Cast(line, to=11)) * 1e9
    first = op.ReduceMin(place + far, keepdims=1)
    end = op.ReduceMax(place - far, keepdims=1) + 1.0
    return op.Concat(first, end, axis=0) * op.Cast(end - first >= count / 2.0, to=11)


@script()
def unpadded(gray, ink, level):
    """(4,) double: left, top, right and bottom of what is no flat padding of this level; all 0 where too little is."""
    sides = op.Cast(op.Shape(gray), to=11)
    reach = op.Max(op.Cast(op.Round(op.Constant(value=NEAR_INK) * op.ReduceMax(sides, keepdims=0)), to=7), 1)
    bare = op.Not(any_within(ink >= INK_LEVEL, reach))
    paper = op.Cast(op.And(bare, op.Abs(gray - level) > PADDING_STEP), to=11)
    clear = op.Cast(bare, to=11)
    across = span(op.ReduceSum(paper, [0], keepdims=0), op.ReduceSum(clear, [0], keepdims=0), op.Gather(sides, 1))
    down = span(op.ReduceSum(paper, [1], keepdims=0), op.ReduceSum(clear, [1], keepdims=0), op.Gather(sides, 0))
    ends = op.Gather(op.Concat(across, down, axis=0), [0, 2, 1, 3])
    return ends * op.Cast(op.ReduceMin(op.Slice(ends, [2], [4]), keepdims=0) > 0.0, to=11)


@script()
def content_window(gray, ink):
    """(4,) double: left, top, right and bottom of the part of a picture (H, W) that is no flat padding."""
    top = op.Gather(gray, 0, axis=0)
    bottom = op.Gather(gray, -1, axis=0)
    outermost = op.Concat(top, bottom, op.Gather(gray, 0, axis=1), op.Gather(gray, -1, axis=1), axis=0)
    level = median(outermost, outermost == outermost)
    flat = op.ReduceMean(op.Cast(op.Abs(outermost - level) <= PADDING_STEP, to=11), keepdims=0)
    sides = op.Cast(op.Gather(op.Shape(gray), [1, 0]), to=11)
    whole = op.Concat(sides * 0.0, sides, axis=0)
    if flat >= op.Constant(value=FLAT):
        inner = unpadded(gray, ink, level)
        window = op.Where(op.ReduceMax(inner, keepdims=0) > 0.0, inner, whole)
    else:
        window = op.Identity(whole)
    return window


@script()
def lines_met(piece, line, met, count, extent):
    """(P + 1,) double: in how many of `extent` lines each piece has a run that is met; `piece`, `line` and `met` are (R,)."""
    table = op.Expand(op.Constant(value=ZERO), op.Reshape((count + 1) * extent, [1]))
    found = op.ScatterElements(table, piece * extent + line, op.Cast(met, to=11), axis=0, reduction="max")
    return op.ReduceSum(op.Reshape(found, op.Concat([-1], op.Reshape(extent, [1]), axis=0)), [1], keepdims=0)


@script()
def ends_met(piece, line, first, last, low, high, near, count, extent):
    """(P + 1,) twice: how many lines of each piece have a pixel on its first `near` columns, and on its last."""
    at_first = op.Cast(first, to=11) < op.Gather(low, piece) + near
    at_last = op.Cast(last, to=11) >= op.Gather(high, piece) - near
    return lines_met(piece, line, at_first, count, extent), lines_met(piece, line, at_last, count, extent)


@script()
def met_by_edges(solid, number, piece, corner, near, count):
    """(P + 1, 4) double: how many lines of each piece lie on its outermost `near` columns or rows, left, top, right, bottom.

    `piece` (R + 1,) has the piece of each run, and 0 for those that do not count.
    """
    shape = op.Shape(solid)
    left, top, right, bottom = op.Split(corner, num_outputs=4, axis=1)
    line, first, last = runs_of(solid)
    lefts, rights = ends_met(
        op.Slice(piece, [1], END),
        line,
        first,
        last,
        op.Squeeze(left, [1]),
        op.Squeeze(right, [1]),
        near,
        count,
        op.Gather(shape, 0),
    )
    turned = op.Transpose(solid, perm=[1, 0])
    column, highest, lowest = runs_of(turned)
    spot = op.Concat(op.Unsqueeze(highest, [1]), op.Unsqueeze(column, [1]), axis=1)
    tops, bottoms = ends_met(
        op.Gather(piece, op.GatherND(number, spot)),
        column,
        highest,
        lowest,
        op.Squeeze(top, [1]),
        op.Squeeze(bottom, [1]),
        near,
        count,
        op.Gather(shape, 1),
    )
    one = [1]
    return op.Concat(
        op.Unsqueeze(lefts, one), op.Unsqueeze(tops, one), op.Unsqueeze(rights, one), op.Unsqueeze(bottoms, one), axis=1
    )


@script()
def broadly_met(solid, number, piece, corner, near, chosen):
    """(P + 1, 4) bool Whether each edge of its box meets a chosen piece with a good share of its extent there."""
    kept = op.Cast(chosen, to=7)
    rank = op.CumSum(kept, 0) * kept
    of_kept = op.Gather(corner, op.Concat([0], op.Reshape(op.NonZero(chosen), [-1]), axis=0))
    lines = met_by_edges(solid, number, op.Gather(rank, piece), of_kept, near, op.ReduceSum(kept, keepdims=0))
    extent = op.Slice(of_kept, [2], [4], [1]) - op.Slice(of_kept, [0], [2], [1])
    broad = op.Cast(lines / op.Gather(extent, [1, 0, 1, 0], axis=1) >= op.Constant(value=CUT), to=7)
    return op.Gather(broad, rank) * op.Unsqueeze(kept, [1]) > 0


@script()
def entering(solid, number, piece, area, corner, window):
    """(P + 1,) bool Whether an edge of the window cuts a piece off: it is met broadly there, and does not reach deep."""
    sizable = op.And(area > 0.0, area >= op.Constant(value=SPECK) * op.ReduceSum(area, keepdims=0))
    sides = op.Slice(window, [2], [4]) - op.Slice(window, [0], [2])
    near = op.Max(op.Round(op.Constant(value=TOUCHES) * op.ReduceMax(sides, keepdims=0)), 1.0)
    touches = (corner - window) * op.Constant(value=SIGNS) < near
    depth = op.Slice(corner, [2], [4], [1]) - op.Slice(corner, [0], [2], [1])
    shallow = op.Gather(depth <= op.Constant(value=DEPTH) * sides, [0, 1, 0, 1], axis=1)
    candidate = op.And(op.And(touches, shallow), op.Unsqueeze(sizable, [1]))
    chosen = op.ReduceMax(op.Cast(candidate, to=7), [1], keepdims=0) > 0
    if any_of(chosen):
        cut = op.And(candidate, broadly_met(solid, number, piece, corner, near, chosen))
    else:
        cut = op.Identity(candidate)
    return op.ReduceMax(op.Cast(cut, to=7), [1], keepdims=0) > 0


@script()
def intruding(solid, number, piece, area, corner, window):
    """(P + 1,) bool Whether a piece belongs to a neighbour."""
    enters = entering(solid, number, piece, area, corner, window)
    rest = op.Where(enters, op.CastLike(0.0, area), area)
    body = ink_box(rest, corner, op.Shape(solid))
    sides = op.Slice(window, [2], [4]) - op.Slice(window, [0], [2])
    gaps = (body - window) * op.Constant(value=SIGNS)
    close = op.Cast(gaps <= op.Constant(value=TIGHT) * op.ReduceMax(sides, keepdims=0), to=7)
    loose = op.And(op.ReduceSum(close, keepdims=0) < 2, op.ReduceSum(rest, keepdims=0) > 0.0)
    longer = op.ReduceMax(op.Slice(body, [2], [4]) - op.Slice(body, [0], [2]), keepdims=0)
    apart = distance(corner, body) >= op.Constant(value=GAP) * longer
    little = area <= op.Constant(value=SHARE) * op.ReduceSum(rest, keepdims=0)
    return op.And(op.And(enters, loose), op.And(apart, little))


@script()
def erased(ink, solid, number, piece, foreign):
    """(H, W) The ink without the foreign pieces and the soft seam around them."""
    own = op.Gather(op.Gather(op.Cast(foreign, to=1), piece), number)
    around = op.MaxPool(op.Unsqueeze(own, [0, 1]), kernel_shape=[5, 5], pads=[2, 2, 2, 2])
    cleared = op.And(op.Squeeze(around, [0, 1]) > 0.0, op.Or(own > 0.0, op.Not(solid)))
    return op.Where(cleared, op.CastLike(0.0, ink), ink)
