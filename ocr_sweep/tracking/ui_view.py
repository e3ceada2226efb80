"""The MLflow UI's view of a study: which columns, which order, which charts. Nobody has to put them together by hand.

MLflow's own way to share a view is a tag of the experiment that holds the page's state; a link names the tag's key. What a
page does not know of the state it ignores, so that another version of MLflow shows its default view at the worst.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from ocr_sweep.tracking.record import ARM, OUTCOME, ROLE

SHARE_KEY = "ocr_sweep"
VIEW_TAG = f"mlflow.sharedViewState.{SHARE_KEY}"
_COSTS = ("cost/train_seconds", "cost/parameters", "cost/latency_ms")
_MOST = 6  # searched values that get a column


def shared_view(metric: str, searched: Sequence[str], *, by_arm: bool) -> str:
    """The state of the page, as MLflow keeps it in the tag `VIEW_TAG`.

    Args:
        metric: of the study; it orders the runs.
        searched: paths of the configuration that differ between runs.
        by_arm: whether runs are grouped by what the study compares, each group shown by its mean.
    """
    accuracy = list(dict.fromkeys([metric, "val/accuracy_macro", "val/accuracy"]))
    columns = [
        *(f"tags.`{tag}`" for tag in (ARM, ROLE, OUTCOME)),
        *(f"metrics.`{name}`" for name in (*accuracy, *_COSTS)),
        *(f"params.`{path}`" for path in searched[:_MOST]),
    ]
    charts = [
        _chart("BAR", f"{metric}, best first", metricKey=metric, runsCountToCompare=20),
        _line("epoch/val/accuracy_macro", "val/accuracy_macro by epoch"),
        _line("epoch/train_loss", "training loss by epoch"),
        *(_scatter(cost, metric) for cost in ("cost/latency_ms", "cost/train_seconds")),
    ]
    state: dict[str, Any] = {
        "searchFilter": f"tags.`{ROLE}` != 'summary'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {column: 150 for column in columns},
        "isAccordionReordered": True,  # our charts stay first; MLflow adds one for each other metric below
        "compareRunCharts": charts,
        "compareRunSections": [{"uuid": "ocr_sweep", "name": "the study", "display": True, "isReordered": False}],
        "runsHiddenMode": "FIRST_20_RUNS",
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": ARM}]} if by_arm else None,
    }
    return json.dumps(state, ensure_ascii=False)


def link(address: str, experiment_id: str, *, shared: bool) -> str:
    """Where an experiment's runs are on the MLflow UI at an address: the charts of its view, or the plain table.

    Args:
        shared: whether the experiment has the tag `VIEW_TAG`.
    """
    asked = {"workflowType": "machine_learning"}
    asked |= {"viewStateShareKey": SHARE_KEY, "compareRunsMode": "CHART"} if shared else {}
    return f"{address}/#/experiments/{experiment_id}/runs?{urlencode(asked)}"


def _chart(kind: str, name: str, **more: Any) -> dict[str, Any]:
    always = {"type": kind, "uuid": name, "metricSectionId": "ocr_sweep", "isGenerated": False, "deleted": False}
    return {**always, "displayName": name, **more}


def _line(metric: str, name: str) -> dict[str, Any]:
    return _chart(
        "LINE", name, metricKey=metric, selectedMetricKeys=[metric], xAxisKey="step", scaleType="linear", lineSmoothness=0
    )


def _scatter(cost: str, metric: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": cost, "type": "METRIC"}, "yaxis": {"key": metric, "type": "METRIC"}}
    return _chart("SCATTER", f"{metric} against {cost}", runsCountToCompare=100, **axes)
