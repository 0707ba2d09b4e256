"""Strategic merge patches: the embedded server merges by its table as the real one does by its Go structs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rest import Answer, Rest
from tests.conformance.test_objects import failure

STRATEGIC = "application/strategic-merge-patch+json"
LABELS = {"app": "x"}
CONTAINERS = [
    {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}], "args": ["x"]},
    {"name": "b", "image": "b:1", "ports": [{"containerPort": 80, "name": "http"}]},
]


async def deployment(rest: Rest) -> str:
    """Create a Deployment of two containers; return its path."""
    pod = {"containers": CONTAINERS, "tolerations": [{"key": "a", "operator": "Exists"}], "nodeSelector": {"a": "1"}}
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    made = await rest.post(rest.path("deployments", group="apps/v1"), {"metadata": {"name": "x"}, "spec": spec})
    assert made.status == 201, made.body
    return rest.path("deployments", "x", group="apps/v1")


async def patched(rest: Rest, path: str, patch: Any) -> Answer:
    answer = await rest.patch(path, patch, STRATEGIC)
    assert answer.status == 200, answer.body
    assert (await rest.get(path)).body == answer.body
    return answer


def pod_of(answer: Answer) -> Any:
    return answer.json["spec"]["template"]["spec"]


def in_pod(**fields: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": fields}}}


def images(answer: Answer) -> list[tuple[str, str]]:
    return [(each["name"], each["image"]) for each in pod_of(answer)["containers"]]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"containers": [{"name": "b", "image": "b:2"}]}, [("a", "a:1"), ("b", "b:2")]),
        ({"containers": [{"name": "c", "image": "c:1"}]}, [("c", "c:1"), ("a", "a:1"), ("b", "b:1")]),
        (
            {"containers": [{"name": "b", "image": "b:2"}, {"name": "c", "image": "c:1"}]},
            [("a", "a:1"), ("b", "b:2"), ("c", "c:1")],
        ),
        ({"containers": [{"name": "a", "$patch": "delete"}]}, [("b", "b:1")]),
        ({"containers": [{"$patch": "replace"}, {"name": "c", "image": "c:1"}]}, [("c", "c:1")]),
        ({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}, [("b", "b:1"), ("a", "a:1")]),
        (
            {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}],
                "containers": [{"name": "c", "image": "c:1"}],
            },
            [("b", "b:1"), ("c", "c:1"), ("a", "a:1")],
        ),
    ],
)
async def test_lists_are_merged_by_their_key(rest: Rest, patch: Any, expected: list[tuple[str, str]]) -> None:
    """What is in the patch comes in its order, the rest stays before what it was before."""
    path = await deployment(rest)

    assert images(await patched(rest, path, in_pod(**patch))) == expected


async def test_the_schema_decides(rest: Rest) -> None:
    """About lists in lists, lists that are replaced, and maps."""
    path = await deployment(rest)
    env = [{"name": "Y", "value": "2"}, {"name": "Z", "value": "3"}]
    container = {"name": "a", "env": env, "args": ["y", "z"]}
    answer = await patched(
        rest,
        path,
        in_pod(
            containers=[container],
            tolerations=[{"key": "b", "operator": "Exists"}],
            nodeSelector={"b": "2"},
            volumes=[{"name": "v", "emptyDir": {}}],
        ),
    )
    first, second = pod_of(answer)["containers"]
    assert [(each["name"], each["value"]) for each in first["env"]] == [("X", "1"), ("Y", "2"), ("Z", "3")]
    assert (first["args"], second["ports"][0]["containerPort"]) == (["y", "z"], 80)
    assert [each["key"] for each in pod_of(answer)["tolerations"]] == ["b"]
    assert pod_of(answer)["nodeSelector"] == {"a": "1", "b": "2"}

    ports = {"name": "b", "ports": [{"containerPort": 80, "name": "web"}, {"containerPort": 81}]}
    answer = await patched(rest, path, in_pod(containers=[ports], volumes=[{"name": "v", "$patch": "delete"}]))
    (second,) = (each for each in pod_of(answer)["containers"] if each["name"] == "b")
    assert [(each["containerPort"], each.get("name")) for each in second["ports"]] == [(80, "web"), (81, None)]
    assert not pod_of(answer).get("volumes")


async def test_maps_are_replaced_and_retained_on_request(rest: Rest) -> None:
    """By directives, and by null."""
    path = await deployment(rest)
    answer = await patched(rest, path, in_pod(nodeSelector={"$patch": "replace", "c": "3"}))
    assert pod_of(answer)["nodeSelector"] == {"c": "3"}
    answer = await patched(rest, path, {"metadata": {"labels": {"a": "1", "b": "2"}}})
    answer = await patched(rest, path, {"metadata": {"labels": {"a": None, "c": "3", "d": None}}})
    assert answer.json["metadata"]["labels"] == {"b": "2", "c": "3"}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
    await patched(rest, path, {"spec": {"strategy": rolling}})
    answer = await patched(rest, path, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})
    assert answer.json["spec"]["strategy"] == {"type": "Recreate"}
    answer = await patched(rest, path, in_pod(nodeSelector={"$patch": "delete"}))
    assert not pod_of(answer).get("nodeSelector")


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"finalizers": ["x.io/c"]}, ["x.io/c", "x.io/a", "x.io/b"]),
        ({"$deleteFromPrimitiveList/finalizers": ["x.io/a", "x.io/d"]}, ["x.io/b"]),
        (
            {
                "$setElementOrder/finalizers": ["x.io/c", "x.io/b"],
                "$deleteFromPrimitiveList/finalizers": ["x.io/a"],
                "finalizers": ["x.io/c"],
            },
            ["x.io/c", "x.io/b"],
        ),
        ({"finalizers": None}, None),
    ],
)
async def test_finalizers_are_a_set(rest: Rest, patch: Any, expected: list[str] | None) -> None:
    """They are added and deleted one by one."""
    metadata = {"name": "x", "finalizers": ["x.io/a", "x.io/b"]}
    await rest.post(rest.path("configmaps"), {"metadata": metadata})
    answer = await patched(rest, rest.path("configmaps", "x"), {"metadata": patch})

    assert answer.json["metadata"].get("finalizers") == expected


async def test_what_is_empty_is_left_out(rest: Rest) -> None:
    """So that a later patch finds nothing there."""
    path = await deployment(rest)
    await patched(rest, path, {"metadata": {"finalizers": ["x.io/a"]}})
    for node_selector in ({"$patch": "delete"}, {"a": None}, {"$patch": "replace", "b": "2"}):
        metadata = {"$deleteFromPrimitiveList/finalizers": ["x.io/a"], "$setElementOrder/finalizers": ["x.io/b"]}
        pod = in_pod(nodeSelector=node_selector)
        answer = await patched(rest, path, {"metadata": metadata, **pod})
        assert not {"finalizers"} & set(answer.json["metadata"])
        assert "nodeSelector" not in pod_of(answer)


async def test_a_set_order_names_all_of_a_patch(rest: Rest) -> None:
    """A directive after all that it names is too much."""
    path = await deployment(rest)
    order = [{"name": "b"}, {"name": "a"}]
    containers = [{"name": "b", "image": "b:2"}, {"name": "a", "image": "a:2"}, {"$patch": "replace"}]
    patch = in_pod(containers=containers, **{"$setElementOrder/containers": order})
    refused = await rest.patch(path, patch, STRATEGIC)
    assert (refused.status, refused.json["message"].startswith("The order in patch list:\n")) == (500, True)


async def test_owners_are_told_apart_by_their_uid(rest: Rest) -> None:
    """So that nobody's reference is lost."""
    path = rest.path("configmaps", "x")
    await rest.configmap("x")
    one, two = ({"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid} for uid in "uv")
    await patched(rest, path, {"metadata": {"ownerReferences": [one]}})
    answer = await patched(rest, path, {"metadata": {"ownerReferences": [two]}})
    assert sorted(each["uid"] for each in answer.json["metadata"]["ownerReferences"]) == ["u", "v"]
    gone = {"uid": "u", "$patch": "delete"}
    answer = await patched(rest, path, {"metadata": {"ownerReferences": [gone]}})
    assert [each["uid"] for each in answer.json["metadata"]["ownerReferences"]] == ["v"]


async def test_conditions_are_merged_by_type(rest: Rest) -> None:
    """In the status of a Deployment."""
    path = await deployment(rest)
    for kind, status in (("Available", "False"), ("Progressing", "True"), ("Available", "True")):
        condition = {"type": kind, "status": status, "reason": "Test"}
        assert (await rest.patch(f"{path}/status", {"status": {"conditions": [condition]}}, STRATEGIC)).status == 200
    found = {each["type"]: each["status"] for each in (await rest.get(path)).json["status"]["conditions"]}
    assert found == {"Available": "True", "Progressing": "True"}


@pytest.mark.parametrize(
    ("patch", "code", "words"),
    [
        ({"data": {"$patch": "merge"}}, 500, "unknown patch type: merge in map"),
        ({"data": {"$retainKeys": ["x"], "y": "z"}}, 400, "invalid patch format of retainKeys"),
        ({"metadata": {"$deleteFromPrimitiveList": ["x"]}}, 400, "invalid patch format of primitive list"),
        ({"metadata": {"ownerReferences": [{"name": "x"}]}}, 500, "does not contain declared merge key: uid"),
        ({"metadata": {"ownerReferences": [{"uid": "u", "$patch": "merge"}]}}, 500, "merging lists cannot yet be"),
    ],
)
async def test_patches_that_cannot_be_applied(rest: Rest, patch: Any, code: int, words: str) -> None:
    """With the words of the server."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "u", "uid": "u"}
    obj = {"metadata": {"name": "x", "ownerReferences": [owner]}, "data": {"k": "v"}}
    await rest.post(rest.path("configmaps"), obj)
    refused = await rest.patch(rest.path("configmaps", "x"), patch, STRATEGIC)

    assert (refused.status, words in refused.json["message"]) == (code, True), refused.body


async def test_custom_objects_take_none(rest: Rest) -> None:
    """415 names the formats that they take."""
    widgets = await rest.custom_resource()
    await rest.widget(widgets, "x")
    refused = await rest.patch(rest.path("widgets", "x", group=widgets), {"spec": {"a": 1}}, STRATEGIC)

    assert failure(refused)[:2] == (415, "UnsupportedMediaType")
    known = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    assert refused.json["message"].startswith("the body of the request was in an unknown format")
    assert known in refused.json["message"]
