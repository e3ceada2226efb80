"""What customers touch: reading characters with an exported model. Needs onnxruntime, numpy and OpenCV, and nothing else.

from ocr_sweep.delivery import Recogniser

recogniser = Recogniser.open("model.onnx")
(reading,) = recogniser.read(["scan.png"])
print(reading.char, reading.confidence)
"""

from ocr_sweep.delivery.pictures import read_picture
from ocr_sweep.delivery.recogniser import Reading, Recogniser

__all__ = ["Reading", "Recogniser", "read_picture"]
