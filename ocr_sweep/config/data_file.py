"""A file that a trial reads beside its corpus: named together with its hash, so that a run can be reproduced."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ocr_sweep.config.block import Strict
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.errors import DataError


class DataFile(Strict):
    """A file under the data root."""

    file: str = Field(min_length=1)  # relative to the data root
    sha256: str = Field(pattern="^[0-9a-f]{64}$")  # of its bytes

    def find(self, data_root: Path) -> Path:
        """Return its path, once its bytes are those that were named.

        Raises:
            DataError: there is no such file, or its hash is another.
        """
        path = data_root / self.file
        if not path.is_file():
            raise DataError(f"no such file: {path}; set OCR_SWEEP_DATA to the folder that `file: {self.file}` is relative to")
        came = file_sha256(path)
        if came != self.sha256:
            raise DataError(f"{path} must have sha256 {self.sha256}, but has {came}; write that one if the file is the right one")
        return path
