"""Simulated scans: a glyph put through wear, ink, paper and scanner, standing in for real scans in val and test.

The result goes through the same reading (`pictures.ink_of_gray`, `glyphs.normalise_ink`) as a real scan. It shares with the
training augmentation only what every scan has (a slight affine change, blur, Kanungo's edge noise); its own are the
low-frequency change of stroke weight, ink that fades and runs dry, stained and sloping paper with grain, the resolution of
the scanner, and rule lines and strokes of neighbours. Numbers measured on it are named `simulated` wherever they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.corpus.glyphs import Gray

Field = NDArray[np.float32]
EM = 128
"""Size in pixels at which a glyph is drawn before it is degraded."""

_FRAME = 160  # side in pixels of the simulated picture
_DEEPEST = 0.85  # of the way from paper to black: printing ink is no hole


@dataclass(frozen=True)
class Degradation:
    """Everything that happens to one glyph, drawn beforehand. Lengths are in pixels of a 160-pixel picture."""

    angle: float  # degrees
    shear: float
    aspect: float  # width over height
    wobble: float  # elastic displacement
    weight: float  # mean change of stroke half-width
    weight_spread: float  # how unevenly over the glyph
    edge_decay: float  # Kanungo's a = b
    edge_noise: float  # Kanungo's eta
    closing: int  # Kanungo's k
    fade: float  # share of ink lost where the ink is weakest
    dry: float  # share of the strokes' grain that stays white
    paper: float  # gray level
    slope: float  # gray levels over the picture
    grain: float  # gray levels
    stains: int
    scanner: float  # share of the resolution that the scanner keeps
    blur: float  # sigma
    intruder: str  # "", "rule" or "neighbour"
    pixel_seed: int


def draw_degradation(rng: np.random.Generator, wear: float) -> Degradation:
    """Draw the parameters for one image.

    Args:
        wear: 0 a fresh print, 0.5 read easily, 1 barely legible.
    """
    strength = wear * float(rng.uniform(0.6, 1.0))  # no two pages are worn alike

    def spread(width: float) -> float:
        return float(rng.uniform(-width, width)) * strength

    def up_to(most: float) -> float:
        return float(rng.uniform(0.3, 1.0)) * most * strength

    return Degradation(
        angle=spread(4),
        shear=spread(0.08),
        aspect=1 + spread(0.1),
        wobble=up_to(3.0),
        weight=spread(2.2),
        weight_spread=up_to(1.6),
        edge_decay=3.0 - 2.4 * strength,
        edge_noise=0.02 * strength,
        closing=int(rng.random() < 0.5) * 2,
        fade=up_to(0.75),
        dry=up_to(0.35),
        paper=235 - up_to(70),
        slope=spread(60),
        grain=2 + up_to(14),
        stains=int(rng.integers(0, 1 + round(5 * strength))),
        scanner=1 - up_to(0.7),
        blur=0.4 + up_to(1.2),
        intruder=str(rng.choice(["", "", "rule", "neighbour"])) if rng.random() < strength else "",
        pixel_seed=int(rng.integers(2**63)),
    )


def degrade(glyph: Gray, how: Degradation) -> Field:
    """Return the simulated picture of a glyph.

    Args:
        glyph: (h, w), 0 paper, 255 full ink, drawn at `EM` pixels and cropped to its ink.

    Returns:
        (160, 160) gray levels, 0 black to 255 white.
    """
    rng = np.random.default_rng(how.pixel_seed)
    ink = _weigh(_bend(_place(glyph), how, rng), how, rng)
    ink = _intrude(ink, how, rng)
    ink = kanungo(ink, decay=how.edge_decay, noise=how.edge_noise, closing=how.closing, rng=rng)
    return _scan(_paint(ink, how, rng), how, rng)


def kanungo(ink: NDArray[np.bool_], *, decay: float, noise: float, closing: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Flip pixels near edges: P(flip) = exp(-decay d^2) + noise, with d the distance in pixels to the other side.

    Args:
        ink: (h, w), true where there is ink.
        closing: side in pixels of the square that closes the result; below 2: none.

    References:
        Kanungo, Haralick, Baird, Stuezle, Madigan: A statistical, nonparametric methodology for document degradation
        model validation, IEEE PAMI 22(11), 2000; with alpha0 = beta0 = 1 and alpha = beta.
    """
    solid = ink.astype(np.uint8)
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = distance + cv2.distanceTransform(1 - solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    flipped = ink ^ (rng.random(ink.shape) < np.exp(-decay * distance**2) + noise)
    if closing < 2:
        return np.asarray(flipped)
    square = np.ones((closing, closing), np.uint8)
    return np.asarray(cv2.morphologyEx(flipped.astype(np.uint8), cv2.MORPH_CLOSE, square), dtype=bool)


def _place(glyph: Gray) -> Field:
    largest = _FRAME - 16
    if max(glyph.shape) > largest:  # a brush that sweeps beyond its em box
        scale = largest / max(glyph.shape)
        glyph = np.asarray(cv2.resize(glyph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    frame = np.zeros((_FRAME, _FRAME), dtype=np.float32)
    top, left = (_FRAME - glyph.shape[0]) // 2, (_FRAME - glyph.shape[1]) // 2
    frame[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph.astype(np.float32) / 255
    return frame


def _smooth_field(rng: np.random.Generator, knots: int) -> Field:
    """(160, 160) smooth noise, mean about 0 and deviation about 1, with `knots` bumps to a side."""
    coarse = rng.standard_normal((knots, knots)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (_FRAME, _FRAME), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _bend(ink: Field, how: Degradation, rng: np.random.Generator) -> Field:
    y, x = np.mgrid[0:_FRAME, 0:_FRAME].astype(np.float32) - _FRAME / 2
    cos, sin = np.cos(np.deg2rad(how.angle)), np.sin(np.deg2rad(how.angle))
    map_x = (cos * x + (sin + how.shear) * y) / how.aspect + how.wobble * _smooth_field(rng, 5)
    map_y = cos * y - sin * x + how.wobble * _smooth_field(rng, 5)
    middle = _FRAME / 2
    return np.asarray(cv2.remap(ink, (map_x + middle).astype(np.float32), (map_y + middle).astype(np.float32), cv2.INTER_LINEAR))


def _weigh(ink: Field, how: Degradation, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Make strokes thicker here and thinner there, by moving the threshold of the distance to the outline."""
    solid = (ink > 0.5).astype(np.uint8)
    inside = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    change = how.weight + how.weight_spread * _smooth_field(rng, 4)
    thinnest = -0.6 * float(np.percentile(inside[solid > 0], 70)) if solid.any() else 0.0  # a stroke may not vanish
    return np.asarray(inside - outside + np.maximum(change, thinnest) > 0)


def _intrude(ink: NDArray[np.bool_], how: Degradation, rng: np.random.Generator) -> NDArray[np.bool_]:
    canvas = ink.astype(np.uint8)
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    if max(np.ptp(columns), np.ptp(rows)) < EM / 2:
        return ink  # beside a 。 or 、 a stroke would make another character of it
    if how.intruder == "rule":  # the line between two columns of text, just beside the character
        x = int(rng.choice([columns[0] - rng.integers(5, 12), columns[-1] + rng.integers(5, 12)]))
        cv2.line(canvas, (x, int(rows[0]) - 8), (x + int(rng.integers(-3, 4)), int(rows[-1]) + 8), 1, int(rng.integers(1, 4)))
    if how.intruder == "neighbour":  # the foot of the character above or the head of the one below
        for _ in range(int(rng.integers(1, 4))):
            outward = int(rng.choice([-1, 1]))
            y = int(rows[0] if outward < 0 else rows[-1]) + outward * int(rng.integers(6, 11))
            x = int(rng.integers(columns[0], columns[-1] + 1))
            end = (x + int(rng.integers(-20, 21)), y + outward * int(rng.integers(2, 12)))
            cv2.line(canvas, (x, y), end, 1, int(rng.integers(4, 9)))
    return canvas.astype(bool)


def _paint(ink: NDArray[np.bool_], how: Degradation, rng: np.random.Generator) -> Field:
    """Lay uneven ink on stained paper: gray levels."""
    strength = 1 - how.fade * np.clip(0.5 + 0.6 * _smooth_field(rng, 4), 0, 1)
    dry = _smooth_field(rng, 40) < -2 + 3 * how.dry  # white grain where the brush or type ran dry
    covered = ink.astype(np.float32) * strength * np.where(dry, 0.25, 1)
    paper = how.paper + how.slope * np.linspace(-0.5, 0.5, _FRAME, dtype=np.float32)[:, None] + 5 * _smooth_field(rng, 6)
    y, x = np.ogrid[0:_FRAME, 0:_FRAME]
    for _ in range(how.stains):
        middle_x, middle_y, radius = rng.uniform((0, 0, 5), (_FRAME, _FRAME, 35))
        distance = np.hypot(x - middle_x, y - middle_y)
        paper = paper - float(rng.uniform(10, 45)) * np.clip(1.5 - distance / radius, 0, 1)
    return np.asarray(paper * (1 - _DEEPEST * covered), dtype=np.float32)


def _scan(picture: Field, how: Degradation, rng: np.random.Generator) -> Field:
    side = max(24, round(_FRAME * how.scanner))
    coarse = cv2.resize(cv2.GaussianBlur(picture, (0, 0), how.blur), (side, side), interpolation=cv2.INTER_AREA)
    coarse = coarse + how.grain * rng.standard_normal((side, side)).astype(np.float32)
    return np.asarray(np.clip(cv2.resize(coarse, (_FRAME, _FRAME), interpolation=cv2.INTER_LINEAR), 0, 255), dtype=np.float32)
