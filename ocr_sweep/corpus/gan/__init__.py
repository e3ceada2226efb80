"""Our own small conditional GAN: learns from fonts alone, and draws in the style of one what only another one draws."""

from ocr_sweep.corpus.gan.generate import generate
from ocr_sweep.corpus.gan.plan import GanOrder, GanPlan, plan_gan
from ocr_sweep.corpus.gan.training import GanSettings

__all__ = ["GanOrder", "GanPlan", "GanSettings", "generate", "plan_gan"]
