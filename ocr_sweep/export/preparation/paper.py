"""From gray levels of either polarity to ink: the steps of `corpus.pictures`, in the same order."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper
from onnxscript import opset18 as op
from onnxscript import script

from ocr_sweep.export.preparation.numbers import ZERO, any_within, counted, double, median, quantile
from ocr_sweep.export.preparation.resampling import grow, shrink

_GAUSS = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 0.8**2))
BLUR_DOWN = numpy_helper.from_array((_GAUSS / _GAUSS.sum()).astype(np.float32).reshape(1, 1, 7, 1))
BLUR_ACROSS = numpy_helper.from_array((_GAUSS / _GAUSS.sum()).astype(np.float32).reshape(1, 1, 1, 7))
MIN_CONTRAST = 24.0
FLATTEST = double(1e-9)
BINS = double(255.0)
EDGE = double(0.04)
NEAR_INK = double(0.02)
INK_QUANTILE = double(0.7)
PAPER_SIDE = double(48.0)
WORKING_SIDE = double(512.0)
GRAIN = 2.5 * 1.4826


@script()
def gray_levels(image):
    """(H, W) float, 0 black to 255 white, of bytes (H, W, C): gray, gray and alpha, RGB, or RGB and alpha on paper."""
    channels = op.Gather(op.Shape(image), 2)
    coloured = channels >= 3
    levels = op.Cast(image, to=6)
    red = op.Gather(levels, 0, axis=2)
    green = op.Gather(levels, op.Where(coloured, 1, 0), axis=2)
    blue = op.Gather(levels, op.Where(coloured, 2, 0), axis=2)
    gray = op.Cast((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536, to=1)
    transparent = op.Mod(channels, 2) == 0
    last = op.Cast(op.Gather(levels, channels - 1, axis=2), to=1)
    alpha = op.Where(transparent, last, 255.0) / 255.0
    on_white = gray * alpha + 255.0 * (1.0 - alpha)
    contrast = op.ReduceMax(on_white, keepdims=0) - op.ReduceMin(on_white, keepdims=0)
    return op.Where(contrast >= MIN_CONTRAST, on_white, gray * alpha)


@script()
def shrunk(gray):
    """(h, w) The picture, its longer side at most 512."""
    sides = op.Cast(op.Shape(gray), to=11)
    share = op.Constant(value=WORKING_SIDE) / op.ReduceMax(sides, keepdims=0)
    if share < 1.0:
        target = op.Max(op.Round(sides * share), 4.0)
        small = shrink(gray, op.Gather(target, 0), op.Gather(target, 1))
    else:
        small = op.Identity(gray)
    return small


@script()
def levelled(gray):
    """(H, W) Slightly blurred, and without the plane of best fit."""
    padded = op.Pad(op.Unsqueeze(gray, [0, 1]), [0, 0, 3, 3, 0, 0, 3, 3], mode="reflect")
    blurred = op.Squeeze(op.Conv(op.Conv(padded, op.Constant(value=BLUR_DOWN)), op.Constant(value=BLUR_ACROSS)), [0, 1])
    shape = op.Cast(op.Shape(blurred), to=1)
    height = op.Gather(shape, 0)
    width = op.Gather(shape, 1)
    y = op.Range(0.0, height, 1.0) - (height - 1.0) / 2.0
    x = op.Range(0.0, width, 1.0) - (width - 1.0) / 2.0
    slope_y = op.ReduceSum(op.ReduceMean(blurred, [1], keepdims=0) * y, keepdims=0) / op.ReduceSum(y * y, keepdims=0)
    slope_x = op.ReduceSum(op.ReduceMean(blurred, [0], keepdims=0) * x, keepdims=0) / op.ReduceSum(x * x, keepdims=0)
    return blurred - op.Unsqueeze(slope_y * y, [1]) - op.Unsqueeze(slope_x * x, [0])


@script()
def otsu(levels):
    """() The level that parts dark from bright with the largest variance between the two."""
    low = op.ReduceMin(levels, keepdims=0)
    high = op.ReduceMax(levels, keepdims=0)
    histogram = counted(op.Cast(op.Reshape((levels - low) * (255.0 / (high - low)), [-1]), to=7), 256)
    share = histogram / op.ReduceSum(histogram, keepdims=1)
    below = op.CumSum(share, 0)
    moment = op.CumSum(
        share * op.Range(op.Constant(value=ZERO), op.Constant(value=double(256.0)), op.Constant(value=double(1.0))), 0
    )
    mean = op.Gather(moment, 255)
    off = mean * below - moment
    spread = below * (1.0 - below)
    between = op.Where(op.Min(below, 1.0 - below) > 1e-7, off * off / op.Max(spread, 1e-30), 0.0)
    best = op.ArgMax(between, keepdims=0)
    return low + (op.Cast(best, to=1) + 0.5) * (high - low) / 255.0


@script()
def paper_is_dark(dark):
    """() bool Whether the dark pixels (H, W) fill most of the picture and of its edge: then the ink is the brighter part."""
    shape = op.Shape(dark)
    height = op.Gather(shape, 0)
    width = op.Gather(shape, 1)
    margin = op.Max(op.Cast(op.Round(op.Constant(value=EDGE) * op.Cast(op.ReduceMin(shape, keepdims=0), to=11)), to=7), 1)
    y = op.Unsqueeze(op.Range(0, height, 1), [1])
    x = op.Unsqueeze(op.Range(0, width, 1), [0])
    inner = op.And(op.And(y >= margin, y < height - margin), op.And(x >= margin, x < width - margin))
    edge = op.Cast(op.Not(inner), to=11)
    filled = op.Cast(dark, to=11)
    of_edge = op.ReduceSum(filled * edge, keepdims=0) / op.ReduceSum(edge, keepdims=0)
    return 4.0 * op.ReduceMean(filled, keepdims=0) + of_edge > 2.5


@script()
def blur_matrix(side, sigma):
    """(side, side) What a Gaussian blur gives from each line to each other, mirrored at the ends; all in double."""
    reach = op.Floor(op.Round(sigma * 8.0 + 1.0) / 2.0)
    offset = op.Range(-reach, reach + 1.0, op.Constant(value=double(1.0)))
    kernel = op.Exp(offset * offset * (-0.5) / (sigma * sigma))
    kernel = kernel / op.ReduceSum(kernel, keepdims=0)
    line = op.Range(op.Constant(value=ZERO), side, op.Constant(value=double(1.0)))
    period = op.Max(2.0 * (side - 1.0), 1.0)
    place = op.Unsqueeze(line, [1]) + op.Unsqueeze(offset, [0])
    folded = place - period * op.Floor(place / period)
    folded = op.Min(folded, period - folded) * op.Cast(side > 1.0, to=11)
    hits = op.Cast(op.Unsqueeze(folded, [2]) == op.Unsqueeze(line, [0, 1]), to=11)
    return op.Cast(op.ReduceSum(hits * op.Unsqueeze(kernel, [0, 2]), [1], keepdims=0), to=1)


@script()
def paper_level(gray, paper):
    """(H, W) The paper's gray level, spread smoothly under the ink."""
    sides = op.Cast(op.Shape(gray), to=11)
    share = op.Min(op.Constant(value=PAPER_SIDE) / op.ReduceMax(sides, keepdims=0), 1.0)
    small = op.Max(op.Round(sides * share), 1.0)
    height = op.Gather(small, 0)
    width = op.Gather(small, 1)
    sigma = op.Max(height, width) / 6.0
    down = blur_matrix(height, sigma)
    across = op.Transpose(blur_matrix(width, sigma), perm=[1, 0])
    weight = op.Cast(paper, to=1)
    levels = op.MatMul(op.MatMul(down, shrink(gray * weight, height, width)), across)
    weights = op.MatMul(op.MatMul(down, shrink(weight, height, width)), across)
    level = (levels + 0.001 * median(gray, paper)) / (weights + 0.001)
    return grow(level, op.Gather(sides, 0), op.Gather(sides, 1))


@script()
def flattened(gray, ink):
    """(H, W) float ink levels that are whole numbers from 0 to 255; all 0 where nothing stands out from the paper."""
    shape = op.Shape(gray)
    longer = op.Cast(op.ReduceMax(shape, keepdims=0), to=11)
    reach = op.Max(op.Cast(op.Round(op.Constant(value=NEAR_INK) * longer), to=7), 1)
    far = op.Not(any_within(ink, reach))
    enough = op.ReduceMean(op.Cast(far, to=11), keepdims=0) >= op.Constant(value=double(0.05))
    paper = op.Or(op.And(enough, far), op.And(op.Not(enough), op.Not(ink)))
    depth = paper_level(gray, paper) - gray
    grain = GRAIN * median(op.Abs(depth), paper)
    span = quantile(depth, ink, op.Constant(value=INK_QUANTILE)) - grain
    mapped = op.Floor(op.Clip((depth - grain) * (255.0 / span), 0.0, 255.0))
    return op.Where(span >= 12.0, mapped, 0.0)


@script()
def ink_levels(gray):
    """(H, W) float ink of gray levels (H, W) of either polarity: 0 is paper, 255 is full ink; all 0 where there is none."""
    smooth = levelled(gray)
    contrast = op.ReduceMax(smooth, keepdims=0) - op.ReduceMin(smooth, keepdims=0)
    if contrast >= MIN_CONTRAST:
        dark = smooth <= otsu(smooth)
        inverted = paper_is_dark(dark)
        ink = flattened(op.Where(inverted, 255.0 - gray, gray), op.Xor(dark, inverted))
    else:
        ink = gray * 0.0
    return ink
