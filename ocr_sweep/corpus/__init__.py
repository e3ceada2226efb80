"""Images in: fonts, scans, simulated scans, splits, audit, and the store that every trial reads."""

from ocr_sweep.corpus.build import build_corpus
from ocr_sweep.corpus.coverage import find_conflicts
from ocr_sweep.corpus.fonts import find_faces
from ocr_sweep.corpus.glyphs import PREPROCESSING, normalise_ink
from ocr_sweep.corpus.pictures import UnreadableImageError, read_ink
from ocr_sweep.corpus.plan import CorpusPlan, plan_corpus

__all__ = [
    "PREPROCESSING",
    "CorpusPlan",
    "UnreadableImageError",
    "build_corpus",
    "find_conflicts",
    "find_faces",
    "normalise_ink",
    "plan_corpus",
    "read_ink",
]
