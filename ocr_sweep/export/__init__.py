"""The ONNX file, the model of record, and its certificate of parity; onnx and onnxruntime enter here."""
