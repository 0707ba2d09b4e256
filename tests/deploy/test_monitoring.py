"""The board and the alerts ask for metrics and labels that a program has."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # kubernetes_asyncio brings it
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller, Request
from aioinformers.coordination import LeaderElection
from aioinformers.integrations.families import FAMILIES
from aioinformers.integrations.prometheus import InformerCollector
from aioinformers.testing import FakeAPIServer, Fault
from tests.deploy.manifests import ROOT
from tests.deploy.promql import Named, names_of
from tests.kit import Document, configmap
from tests.test_docs import anchors_of

BOARD: Final = json.loads((ROOT / "deploy" / "grafana" / "aioinformers.json").read_text(encoding="utf-8"))
ALERTS: Final = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
RULES: Final[list[dict[str, Any]]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS: Final[list[dict[str, Any]]] = BOARD["panels"]
PAGE: Final = ROOT / "docs" / "deploying.md"

OF_PROMETHEUS: Final = {"job", "instance"}
"""Labels that every series has, for it was scraped."""


def series_of_families() -> dict[str, set[str]]:
    """Return the labels of each series there can be."""
    found: dict[str, set[str]] = {}
    for family in FAMILIES:
        labels = set(family.labels)
        if family.kind == "histogram":
            found |= {f"{family.name}_sum": labels, f"{family.name}_count": labels}
            found[f"{family.name}_bucket"] = labels | {"le"}
        else:
            found[family.name] = labels
    return found


def _expressions() -> Iterator[tuple[str, str, str]]:
    """Yield each expression with where it stands, and the text that names its series."""
    for rule in RULES:
        text = " ".join(rule["annotations"].values())
        yield rule["alert"], rule["expr"], " ".join(re.findall(r"\$labels\.(\w+)", text))
    for panel in PANELS:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], " ".join(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert match is not None
            yield f"${variable['name']}", match[1], match[2]


EXPRESSIONS: Final = list(_expressions())


@pytest.mark.parametrize(("where", "expression", "shown"), EXPRESSIONS, ids=lambda value: value[:40])
def test_metrics_and_labels_are_those_of_the_families(where: str, expression: str, shown: str) -> None:
    known, named = series_of_families(), names_of(expression)
    assert named.metrics, where
    assert named.metrics <= known.keys()
    labels = set[str]().union(*(known[name] for name in named.metrics)) | OF_PROMETHEUS
    assert named.labels <= labels
    assert set(shown.split()) <= labels


@pytest.mark.parametrize(("where", "expression", "shown"), EXPRESSIONS, ids=lambda value: value[:40])
def test_what_is_shown_of_a_series_is_left_after_aggregation(where: str, expression: str, shown: str) -> None:
    """``{{informer}}`` of a sum by something else is empty."""
    kept = [set(re.findall(r"\w+", names)) for names in re.findall(r"\b(?:sum|min|max) by \(([^)]*)\)", expression)]
    if kept and not re.search(r"\bon \(", expression):
        assert set(shown.split()) <= set.intersection(*kept)


@pytest.mark.virtual_time
async def test_a_program_that_does_all_there_is_has_every_series() -> None:
    """Names are not enough: a scrape has them, with the values of labels that expressions pick."""
    async with FakeAPIServer() as server, server.api_client() as api, SharedInformerFactory(api) as factory:
        server.create("configmaps", configmap("a"))
        configmaps = factory.for_resource("configmaps.v1.")

        @configmaps.on_add
        async def handler(obj: Document) -> None: ...

        controller: Controller[Document] = Controller(configmaps)

        @controller.reconcile
        async def reconcile(request: Request[Document]) -> None: ...

        election = LeaderElection(api, "lease", namespace="default")
        registry = CollectorRegistry()
        InformerCollector(factory, controllers=[controller], elections=[election], registry=registry)
        await factory.start()
        async with controller.running(election=election):
            await asyncio.sleep(5)
            generate_latest(registry)  # the lag of the loop is measured from the first scrape on
            heal = server.intercept(lambda request: Fault(status=410) if request.verb == "watch" else None)
            server.close_watches()
            await asyncio.sleep(5)
            heal()
            await asyncio.sleep(60)
            body = generate_latest(registry)
    scraped: dict[str, set[str]] = {}
    values: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            scraped.setdefault(sample.name, set()).update(sample.labels)
            for label, value in sample.labels.items():
                values.setdefault(label, set()).add(value)
    for _, expression, _ in EXPRESSIONS:
        named = names_of(expression)
        assert named.metrics <= scraped.keys()
        assert named.labels <= set[str]().union(*(scraped[name] for name in named.metrics)) | OF_PROMETHEUS
        for label, value in re.findall(r'(\w+)!?="([^"$]+)"', expression):
            assert value in values[label]


def test_every_alert_leads_to_what_to_do() -> None:
    assert 8 <= len(RULES) == len({rule["alert"] for rule in RULES})
    anchors = anchors_of(PAGE)
    for rule in RULES:
        address, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert address == "https://github.com/aioinformers/aioinformers/blob/main/docs/deploying.md"
        assert anchor == rule["alert"].lower()
        assert anchor in anchors
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}


def test_the_board_is_whole() -> None:
    """Each panel has its own number and place, within the width, and asks the data source that can be chosen."""
    assert [number for number, count in Counter(panel["id"] for panel in PANELS).items() if count > 1] == []
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "${datasource}"
            assert 'job=~"$job", instance=~"$instance"' in target["expr"], "variables narrow it down"
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert rows == ["Verdict", "Informers", "Handlers", "Controllers", "Leader election"]


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ("up", {"up"}, set()),
        ('rate(a_total{job=~"$job", b!="c d"}[5m])', {"a_total"}, {"job", "b"}),
        ("sum by (x, le) (rate(a[$__rate_interval])) / on (y) group_left max without (z) (b)", {"a", "b"},
         {"x", "le", "y", "z"}),
        ("histogram_quantile(0.5, sum by (le) (a_bucket)) > bool 1.5 and b unless c offset 5m or vector(0)",
         {"a_bucket", "b", "c"}, {"le"}),
        ("sum(a) by (x) == 0", {"a"}, {"x"}),
    ],
)  # fmt: skip
def test_expressions_are_read(expression: str, metrics: set[str], labels: set[str]) -> None:
    assert names_of(expression) == Named(metrics, labels)


@pytest.mark.parametrize("expression", ["sum(a", "a)", "a{b=1)", "a ; b", 'a{b="c}'])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"brackets do not match|is no PromQL"):
        names_of(expression)
