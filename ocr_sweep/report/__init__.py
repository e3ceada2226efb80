"""Pages that a person opens to see which arm is better, and how sure that is."""

from ocr_sweep.report.compare import Comparison, Title, write_comparison
from ocr_sweep.report.runs import ComparedRun

__all__ = ["ComparedRun", "Comparison", "Title", "write_comparison"]
