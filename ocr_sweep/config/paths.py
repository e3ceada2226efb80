"""Where everything lies: one class knows every path and every setting of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.errors import NotFoundError


@dataclass(frozen=True)
class Paths:
    """The paths of one project.

    Settings, all optional: OCR_SWEEP_HOME (the project's root), OCR_SWEEP_DATA (the data root, default `data/`),
    MLFLOW_TRACKING_URI (default: a database under `mlruns/`), OCR_SWEEP_OPTUNA_URL (likewise), OCR_SWEEP_KEY (the file of
    the key that signs promotions, default under the user's `~/.config`).
    """

    root: Path
    data: Path
    tracking_uri: str
    optuna_url: str
    signing_key: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Paths:
        """Find the project that the current folder lies in.

        Raises:
            NotFoundError: no folder above holds `sweeps/`.
        """
        environ = os.environ if environ is None else environ
        home = environ.get("OCR_SWEEP_HOME")
        start = Path(home).expanduser().resolve() if home else (cwd or Path.cwd()).resolve()
        candidates = [start] if home else [start, *start.parents]
        root = next((path for path in candidates if (path / "sweeps").is_dir()), None)
        if root is None:
            raise NotFoundError(
                f"no project found: {start} must hold a folder `sweeps/`; change into the project or set OCR_SWEEP_HOME"
            )
        data = Path(environ.get("OCR_SWEEP_DATA") or "data").expanduser()
        mlruns = root / "mlruns"
        return cls(
            root=root,
            data=(
                data if data.is_absolute() else (cwd or Path.cwd()) / data if environ.get("OCR_SWEEP_DATA") else root / data
            ).resolve(),
            tracking_uri=environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{mlruns}/mlflow.db",
            optuna_url=_database_url(environ.get("OCR_SWEEP_OPTUNA_URL") or f"sqlite:///{mlruns}/optuna.db"),
            signing_key=_signing_key(environ),
        )

    @property
    def sweeps(self) -> Path:
        """Study files."""
        return self.root / "sweeps"

    @property
    def mlruns(self) -> Path:
        """Everything that is remembered."""
        return self.root / "mlruns"

    @property
    def mlflow_db(self) -> Path:
        """The embedded tracking database."""
        return self.mlruns / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """The root of MLflow's files when the tracking store is embedded."""
        return self.mlruns / "artifacts"

    @property
    def corpora(self) -> Path:
        """The corpus store: one folder per fingerprint."""
        return self.mlruns / "corpora"

    @property
    def cache(self) -> Path:
        """What can be computed again, e.g. font coverage."""
        return self.mlruns / "cache"

    @property
    def representations(self) -> Path:
        """What trials have learnt before their classifier, one folder per key."""
        return self.cache / "representations"

    @property
    def logs(self) -> Path:
        """What studies said, and how each one is."""
        return self.mlruns / "logs"

    @property
    def histories(self) -> Path:
        """What happened to the pointers of registered models: one file each, append-only."""
        return self.mlruns / "registry"

    @property
    def reports(self) -> Path:
        """Pages written for people."""
        return self.root / "reports"

    def work(self, study: str) -> Path:
        """The trials in progress of one study."""
        return self.mlruns / "work" / study

    def lock(self, name: str) -> Path:
        """The lock file of a study or store."""
        return self.mlruns / "locks" / f"{name}.lock"


def _signing_key(environ: Mapping[str, str]) -> Path:
    """Outside the store: who can write there should not sign by that."""
    named = environ.get("OCR_SWEEP_KEY")
    config = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(named or f"{config}/ocr_sweep/signing.key").expanduser().resolve()


def _database_url(url: str) -> str:
    """A database's address as SQLAlchemy takes it, also where it was written as PostgreSQL's own programs take it."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in ("postgres", "postgresql") else url
