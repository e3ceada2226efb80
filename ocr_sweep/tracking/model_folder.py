"""MLflow's own description beside an ONNX file, so that its tools can load the model too."""

from __future__ import annotations

import tempfile
import warnings
from importlib import metadata
from pathlib import Path

from ocr_sweep.disk import give_name

_DESCRIPTIONS = ("MLmodel", "requirements.txt", "conda.yaml", "python_env.yaml")


def write_model_folder(onnx_file: Path, scratch: Path) -> None:
    """Write `MLmodel` and its companions beside a file `model.onnx`, whose bytes stay as they are.

    Args:
        scratch: a folder on the same disk for what is not finished; a kill leaves it there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.onnx
        import onnx

        requirement = f"onnxruntime=={metadata.version('onnxruntime')}"
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            saved = Path(folder) / "saved"
            mlflow.onnx.save_model(
                onnx.load(onnx_file),
                saved,
                pip_requirements=[requirement],
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,
            )
            for name in _DESCRIPTIONS:
                if (saved / name).exists():
                    give_name(saved / name, onnx_file.parent / name)
