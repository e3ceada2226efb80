"""The view of a study that the MLflow UI opens with."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

from ocr_sweep.tracking.ui_view import SHARE_KEY, VIEW_TAG, link, shared_view


def test_every_chart_lies_in_the_section_and_no_test_number_is_shown() -> None:
    state = json.loads(shared_view("val/accuracy_macro", [f"optim.p{i}" for i in range(9)], by_arm=True))
    (section,) = state["compareRunSections"]
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {section["uuid"]}
    assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == 5
    assert state["columnOrder"] == state["selectedColumns"] and len(set(state["selectedColumns"])) == len(
        state["selectedColumns"]
    )
    assert sum(column.startswith("params.") for column in state["selectedColumns"]) == 6
    assert "test/" not in json.dumps(state)
    assert state["orderByKey"] == "metrics.`val/accuracy_macro`" and state["orderByAsc"] is False
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "ocr_sweep.arm"}]
    assert json.loads(shared_view("val/accuracy", [], by_arm=False))["groupBy"] is None


def test_the_link_names_the_view_where_there_is_one() -> None:
    assert VIEW_TAG.endswith(SHARE_KEY)
    asked = parse_qs(urlsplit(link("http://127.0.0.1:1", "7", shared=True).replace("/#", "")).query)
    assert asked == {"workflowType": ["machine_learning"], "viewStateShareKey": [SHARE_KEY], "compareRunsMode": ["CHART"]}
    assert "viewStateShareKey" not in link("http://127.0.0.1:1", "7", shared=False)
