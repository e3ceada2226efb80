"""A picture of any size and either polarity to the square that a network reads."""

from __future__ import annotations

from onnxscript import DOUBLE, UINT8, script
from onnxscript import opset18 as op

from ocr_sweep.corpus.glyphs import FULL_FROM, INK_LEVEL, MARGIN
from ocr_sweep.export.preparation.intrusions import content_window, erased, intruding
from ocr_sweep.export.preparation.numbers import END, any_of, double
from ocr_sweep.export.preparation.paper import gray_levels, ink_levels, shrunk
from ocr_sweep.export.preparation.pieces import connected, corners, ink_box, runs_of, sizes
from ocr_sweep.export.preparation.resampling import area_weights, grow, linear_weights, shrink

FULL = double(FULL_FROM)
FILLED = double(1 - 2 * MARGIN)


@script()
def fitting_weights(scale, target, start, length, extent):
    """(target, extent) By area where the scale is below 1, linearly from there on."""
    area = area_weights(target, start, length, extent)
    linear = linear_weights(target, start, length, extent)
    return op.Where(scale < 1.0, area, linear)


@script()
def centred(ink, box, size):
    """(size, size) uint8 The box of the ink scaled to its square, in the middle of it; `size` is double."""
    sides = op.Cast(op.Shape(ink), to=11)
    left, top, right, bottom = op.Split(box, num_outputs=4)
    length = op.Concat(bottom - top, right - left, axis=0)
    longer = op.ReduceMax(length, keepdims=0)
    extent = longer / op.ReduceMax(sides, keepdims=0)
    scale = op.Min(extent / op.Constant(value=FULL), 1.0) * op.Constant(value=FILLED) * size / longer
    target = op.Max(op.Round(length * scale), 1.0)
    height = op.Gather(target, 0)
    width = op.Gather(target, 1)
    down = fitting_weights(scale, height, op.Squeeze(top, [0]), op.Gather(length, 0), op.Gather(sides, 0))
    across = fitting_weights(scale, width, op.Squeeze(left, [0]), op.Gather(length, 1), op.Gather(sides, 1))
    small = op.MatMul(op.MatMul(down, ink), op.Transpose(across, perm=[1, 0]))
    before = op.Floor((size - target) / 2.0)
    pads = op.Cast(op.Concat(before, size - target - before, axis=0), to=7)
    return op.Cast(op.Clip(op.Round(op.Pad(small, pads)), 0.0, 255.0), to=2)


@script()
def character(gray, ink, size):
    """(size, size) uint8 The character of a picture whose ink holds a solid pixel, without pieces of its neighbours."""
    solid = ink >= INK_LEVEL
    number, piece = connected(solid)
    count = op.ReduceMax(piece, keepdims=0)
    line, first, last = runs_of(solid)
    of_run = op.Slice(piece, [1], END)
    area = sizes(of_run, first, last, count)
    corner = corners(of_run, line, first, last, count)
    foreign = intruding(solid, number, piece, area, corner, content_window(gray, ink))
    if any_of(foreign):
        cleared = erased(ink, solid, number, piece, foreign)
    else:
        cleared = op.Identity(ink)
    box = ink_box(op.Where(foreign, op.CastLike(0.0, area), area), corner, op.Shape(ink))
    return centred(cleared, box, size)


@script()
def prepared(image, size):
    """(size, size) uint8 ink of a picture (H, W, C): all 0 where there is none; `size` is double."""
    gray = shrunk(gray_levels(image))
    ink = ink_levels(gray)
    if op.ReduceMax(ink, keepdims=0) >= INK_LEVEL:
        square = character(gray, ink, size)
    else:
        side = op.Reshape(op.Cast(size, to=7), [1])
        square = op.Cast(op.Expand(0, op.Concat(side, side, axis=0)), to=2)
    return square


@script()
def refitted(square, size):
    """(size, size) uint8 A square of another side as `store.resized` makes it; `size` is double."""
    stored = op.Cast(op.Gather(op.Shape(square), 0), to=11)
    levels = op.Cast(square, to=1)
    if size < stored:
        fitted = shrink(levels, size, size)
    else:
        fitted = grow(levels, size, size)
    return op.Cast(op.Clip(op.Round(fitted), 0.0, 255.0), to=2)


@script()
def network_square(image: UINT8[None, None, None], stored: DOUBLE, size: DOUBLE) -> UINT8[None, None]:
    """(size, size) uint8 ink of a picture: prepared at the side of the corpus, then resized to that of the network."""
    square = prepared(image, stored)
    if size == stored:
        fitted = op.Identity(square)
    else:
        fitted = refitted(square, size)
    return fitted
