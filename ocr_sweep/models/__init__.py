"""Networks, one idea a file; timm enters here."""

from ocr_sweep.models.factory import build_model, check_model
from ocr_sweep.models.nearest_mean import NearestMeanHead, replace_head
from ocr_sweep.models.network import Network
from ocr_sweep.models.output import Output

__all__ = ["NearestMeanHead", "Network", "Output", "build_model", "check_model", "replace_head"]
