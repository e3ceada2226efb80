"""What a corpus does to a scan, as a graph inside the ONNX file: a reader needs no code of ours for it.

Written in onnxscript: the functions here are never run as Python, they become nodes. Each mirrors a function of the corpus room,
and a test holds the two against each other. A loop carries one value and a branch gives one: onnxscript puts several into the
order of a set, which differs from process to process, and the same weights must give the same bytes.
"""
