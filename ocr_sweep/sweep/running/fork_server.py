"""The process that trials are forked from. Light to import, so that its own imports begin before the caller's do."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

_PRELOAD = "ocr_sweep.sweep.trials.trial"
_PRELOAD_TIMM = "ocr_sweep.models.timm_import"


def fork_server(*, timm: bool) -> ForkServerContext:
    """Have a process import what trials need, beside whatever the caller does next; asked again, it is the same process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOAD, *([_PRELOAD_TIMM] if timm else [])])
    forkserver.ensure_running()
    return context
