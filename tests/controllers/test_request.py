"""What a request refuses to write, and what it says then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from aioinformers import GroupVersionResource, ObjectKey
from aioinformers.controllers.events import Recorder
from aioinformers.controllers.memory import Write
from aioinformers.controllers.request import Request
from aioinformers.controllers.writes import Kind, Writer

SITES = Kind(GroupVersionResource("example.com", "v1", "sites"), "Site", is_namespaced=True)
KINDS = {
    "Secret": Kind(GroupVersionResource("", "v1", "secrets"), "Secret", is_namespaced=True),
    "Node": Kind(GroupVersionResource("", "v1", "nodes"), "Node", is_namespaced=False),
}


class Host:
    """A controller of sites that owns secrets and nodes, as a request sees it."""

    name = "sites"
    main = SITES
    api_client: Any = None

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []

    recorder = Recorder("sites")

    @property
    def writer(self) -> Writer:
        host: Any = self
        return host  # type: ignore[no-any-return]

    async def send(self, method: str, target: Any, body: Any, **options: Any) -> dict[str, Any]:
        self.sent.append((method, target, {"body": body, **options}))
        return {"metadata": {"name": target.key.name}}

    async def kind_of(self, document: Mapping[str, Any]) -> Kind:
        return KINDS[document["kind"]]

    def is_owned(self, kind: Kind) -> bool:
        return True

    def sanitize(self, obj: object) -> Any:
        return obj

    def time_left(self, key: ObjectKey, uid: str) -> float:
        return 5.0

    def note(self, key: ObjectKey, write: Write, labels: Mapping[str, str]) -> None: ...


def request(host: Host, status: dict[str, Any] | None = None) -> Request[Any]:
    document = {"metadata": {"name": "a"}} | ({} if status is None else {"status": status})
    return Request(host, document, lambda: document, ObjectKey("shop", "a"), "uid-a", attempt=2)


def secret(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", **metadata}}


async def test_a_child_gets_namespace_and_owner() -> None:
    host = Host()
    given = secret(ownerReferences=[{"uid": "another", "kind": "X", "name": "x"}])
    await request(host).create(given)
    assert given["metadata"]["ownerReferences"] == [{"uid": "another", "kind": "X", "name": "x"}], "it is the caller's"
    ((method, target, options),) = host.sent
    assert (method, target.key) == ("POST", ObjectKey("shop", "s"))
    metadata = options["body"]["metadata"]
    assert metadata["namespace"] == "shop"
    assert metadata["ownerReferences"][1] == {
        "apiVersion": "example.com/v1", "kind": "Site", "name": "a", "uid": "uid-a", "controller": True,
        "blockOwnerDeletion": True,
    }  # fmt: skip


async def test_what_is_applied_says_nothing_that_is_the_servers() -> None:
    host = Host()
    await request(host).apply(secret(resourceVersion="3", uid="u", managedFields=[], labels={"a": "b"}), owner=False)
    ((method, _, options),) = host.sent
    assert method == "PATCH"
    assert options["body"]["metadata"] == {"name": "s", "namespace": "shop", "labels": {"a": "b"}}
    assert (options["content_type"], options["query"]) == ("application/apply-patch+yaml", {"force": "true"})


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (secret(namespace="other"), "Secret other/s cannot be owned by Site shop/a: owners are in the same namespace"),
        (
            {"kind": "Node", "metadata": {"name": "n"}},
            "Node n cannot be owned by Site shop/a: what lives in no namespace",
        ),
        (
            secret(ownerReferences=[{"uid": "u", "kind": "Job", "name": "j", "controller": True}]),
            "Secret shop/s is controlled by Job j already",
        ),
        ({"kind": "Secret"}, "has no metadata.name"),
    ],
)
async def test_owners_that_cannot_be_are_refused_before_anything_is_sent(child: dict[str, Any], words: str) -> None:
    host = Host()
    for write in (request(host).create, request(host).apply):
        with pytest.raises(ValueError, match=words):
            await write(child)
    assert host.sent == []


async def test_patches_are_merged_or_steps() -> None:
    host = Host()
    await request(host).patch({"spec": {"a": 1}})
    await request(host).patch([{"op": "remove", "path": "/spec/a"}], subresource="status")
    await request(host).patch({"data": None}, secret())
    assert [
        (target.kind.kind, options["content_type"], options["subresource"]) for _, target, options in host.sent
    ] == [
        ("Site", "application/merge-patch+json", ""),
        ("Site", "application/json-patch+json", "status"),
        ("Secret", "application/merge-patch+json", ""),
    ]
    wrong: Any = "text"
    with pytest.raises(TypeError, match="a patch is a dict, or a list of steps, not 'text'"):
        await request(host).patch(wrong)


@pytest.mark.parametrize(
    ("before", "wanted", "sent"),
    [
        (None, {"phase": "Ready"}, {"phase": "Ready"}),
        ({"phase": "Ready"}, {"phase": "Ready"}, None),
        ({"phase": "Ready", "other": 1}, {"phase": "Ready"}, None),
        ({"phase": "Ready", "other": 1}, {"other": None}, {"other": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        ({"list": [1]}, {"list": [1, 2]}, {"list": [1, 2]}),
        ({}, {"nothing": None}, None),
    ],
)
async def test_of_a_status_only_what_differs_is_sent(before: Any, wanted: dict[str, Any], sent: Any) -> None:
    host = Host()
    answer = await request(host, before).patch_status(wanted)
    assert (answer is None) is (sent is None)
    assert [options["body"] for _, _, options in host.sent] == ([] if sent is None else [{"status": sent}])


def test_logs_carry_key_and_attempt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = request(Host())
    one.log.info("made %d pods", 3, extra={"more": True})
    (record,) = caplog.records
    assert record.getMessage() == "sites: shop/a: made 3 pods"
    assert [vars(record)[name] for name in ("controller", "key", "attempt", "more")] == ["sites", "shop/a", 2, True]
    assert repr(one) == "<Request of sites for shop/a, attempt 2>"


@pytest.mark.parametrize(
    "wrong", [{"name": ".."}, {"name": "."}, {"name": "../nodes/n"}, {"namespace": ".."}, {"name": 5}]
)
async def test_a_name_that_would_lead_to_something_else_is_refused(wrong: dict[str, Any]) -> None:
    host = Host()
    asked, other = request(host), secret(**wrong)
    for write in (asked.create(other), asked.apply(other), asked.patch({}, other), asked.delete(other)):
        with pytest.raises(ValueError, match="cannot be the name"):
            await write
    assert host.sent == []


async def test_only_what_is_created_may_leave_its_name_to_the_server() -> None:
    """Without a name, the address is that of all objects of the kind: a deletion would delete them all."""
    host = Host()
    asked, nameless = request(host), {"kind": "Secret", "metadata": {"generateName": "s-"}}
    for write in (asked.apply(nameless), asked.patch({}, nameless), asked.delete(nameless)):
        with pytest.raises(ValueError, match=r"has no metadata\.name"):
            await write
    assert host.sent == []
    await asked.create(nameless)
    assert len(host.sent) == 1
