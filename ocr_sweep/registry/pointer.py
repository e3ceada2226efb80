"""What points to a version, production, staging, or a customer's production: an alias of MLflow, and of the first two a stage."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Literal

from ocr_sweep.config.block import check_identifier
from ocr_sweep.errors import ConfigError
from ocr_sweep.registry.register import version_numbered
from ocr_sweep.tracking.mlflow_client import tracking_errors
from ocr_sweep.tracking.tracker import Tracker

Stage = Literal["production", "staging"]


@dataclass(frozen=True)
class Pointer:
    """A pointer of a registered model."""

    stage: Stage
    customer: str = ""

    @classmethod
    def of(cls, stage: Stage, customer: str | None) -> Pointer:
        """The pointer that a person names.

        Raises:
            ConfigError: a customer's name is none, or is asked to have a staging of its own.
        """
        if customer is None:
            return cls(stage)
        try:
            check_identifier(customer)
        except ValueError as error:
            raise ConfigError([f"--for: {error}"]) from None
        if "." in customer:
            raise ConfigError(
                [f"--for: a customer's or task's name must do without '.', which MLflow takes in no alias: {customer}"]
            )
        if stage != "production":
            raise ConfigError(["--for: a customer or task has a production of its own and no staging; leave --stage out"])
        return cls(stage, customer)

    @classmethod
    def of_alias(cls, alias: str) -> Pointer | None:
        """The pointer that an alias is; None where it is none of ours."""
        found = re.fullmatch(r"(production|staging)|production-(.+)", alias)
        if found is None:
            return None
        return cls("staging" if alias == "staging" else "production", found[2] or "")

    @property
    def alias(self) -> str:
        """The alias in MLflow, which is the truth."""
        return f"{self.stage}-{self.customer}" if self.customer else self.stage

    @property
    def title(self) -> str:
        """The stage in MLflow that moves with the alias; none for a customer: a version has one stage only."""
        return "" if self.customer else self.stage.capitalize()


PRODUCTION = Pointer("production")
STAGING = Pointer("staging")


def move(tracker: Tracker, name: str, pointer: Pointer, to: int) -> None:
    """Let a pointer point to a version; the former one is archived. For who holds the lock.

    The alias is moved last and is the truth: after a kill it points to the old version or to the new one, and the same call
    again finishes the work.
    """
    client = tracker.client
    with tracking_errors(client.tracking_uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # stages are announced to go one day; the alias carries the meaning
        if pointer.title:
            client.transition_model_version_stage(name, str(to), pointer.title, archive_existing_versions=True)
        client.set_registered_model_alias(name, pointer.alias, str(to))


def vacate(tracker: Tracker, name: str, pointer: Pointer, former: int) -> None:
    """Let a pointer point nowhere. For who holds the lock."""
    client = tracker.client
    with tracking_errors(client.tracking_uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if pointer.title and version_numbered(tracker, name, former).stage == pointer.title:
            client.transition_model_version_stage(name, str(former), "None")
        client.delete_registered_model_alias(name, pointer.alias)


def set_stage(tracker: Tracker, name: str, number: int, stage: str) -> None:
    """Give a version a stage and leave its alias and all others alone. For who holds the lock."""
    with tracking_errors(tracker.client.tracking_uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracker.client.transition_model_version_stage(name, str(number), stage, archive_existing_versions=False)
