"""LIST: bytes, pages, versions and selectors; the embedded and the real server answer alike."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.conformance.rest import Rest
from tests.conformance.test_objects import failure


async def names(rest: Rest, query: Mapping[str, str] | None = None, **more: str) -> list[str]:
    answer = await rest.get(rest.path("configmaps"), query, **more)
    assert answer.status == 200, answer.body
    return [item["metadata"]["name"] for item in answer.json["items"]]


async def test_bytes_of_a_list_of_a_builtin_kind(rest: Rest) -> None:
    """kind, apiVersion, metadata, items; items have no kind and no white space between them."""
    await rest.configmap("x")
    await rest.configmap("y")
    answer = await rest.get(rest.path("configmaps"))

    head = f'{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{"resourceVersion":"{answer.version}"}},"items":['
    assert answer.body.startswith(head.encode() + b'{"metadata":{"name":"x",')
    assert b'},{"metadata":{"name":"y",' in answer.body
    assert answer.body.endswith(b"}]}\n")
    assert answer.body.count(b"\n") == 1
    assert [set(item) for item in answer.json["items"]] == [{"metadata", "data"}] * 2


async def test_bytes_of_a_list_of_a_custom_kind(rest: Rest) -> None:
    """apiVersion, items, kind, metadata; items have a kind, and the list always has `continue`."""
    widgets = await rest.custom_resource()
    await rest.widget(widgets, "x")
    await rest.widget(widgets, "y")
    answer = await rest.get(rest.path("widgets", group=widgets))

    item = f'{{"apiVersion":"{widgets}","kind":"Widget","metadata":{{"creationTimestamp":'
    assert answer.body.startswith(f'{{"apiVersion":"{widgets}","items":[{item}'.encode())
    assert b"}," + item.encode() in answer.body
    tail = f'],"kind":"WidgetList","metadata":{{"continue":"","resourceVersion":"{answer.version}"}}}}\n'
    assert answer.body.endswith(tail.encode())


async def test_an_empty_list(rest: Rest) -> None:
    """An empty list is [], never null."""
    answer = await rest.get(rest.path("configmaps"), labelSelector="no=such")

    assert answer.body.endswith(b'"items":[]}\n')


async def test_order_is_by_namespace_and_name(rest: Rest) -> None:
    """Not by age."""
    for name in ("b", "c", "a-b", "a.b", "a"):
        await rest.configmap(name)

    assert await names(rest) == ["a", "a-b", "a.b", "b", "c"]


async def test_pages_show_one_moment(rest: Rest) -> None:
    """What happens between two pages is not seen, and all pages have one resourceVersion."""
    for name in ("a", "b", "c", "d", "e"):
        await rest.configmap(name)
    path = rest.path("configmaps")
    first = await rest.get(path, limit="2")
    await rest.configmap("bb")
    await rest.delete(rest.path("configmaps", "d"))
    await rest.patch(rest.path("configmaps", "e"), {"data": {"k": "new"}})

    pages = [first]
    while token := pages[-1].json["metadata"].get("continue"):
        pages.append(await rest.get(path, {"limit": "2", "continue": token}))
    assert [[item["metadata"]["name"] for item in page.json["items"]] for page in pages] == [
        ["a", "b"], ["c", "d"], ["e"],
    ]  # fmt: skip
    assert pages[2].json["items"][0]["data"] == {"k": "v"}
    assert [page.json["metadata"].get("remainingItemCount") for page in pages] == [3, 1, None]
    assert len({page.version for page in pages}) == 1
    assert await names(rest) == ["a", "b", "bb", "c", "e"]


async def test_pages_with_a_selector_do_not_count(rest: Rest) -> None:
    """remainingItemCount is left out."""
    for name in ("a", "b", "c"):
        await rest.configmap(name, x="1")
    answer = await rest.get(rest.path("configmaps"), limit="1", labelSelector="x=1")

    assert answer.json["metadata"]["continue"]
    assert "remainingItemCount" not in answer.json["metadata"]
    query = {"limit": "5", "continue": answer.json["metadata"]["continue"], "labelSelector": "x=1"}
    assert await names(rest, query) == [
        "b", "c",
    ]  # fmt: skip


async def test_bad_continue(rest: Rest) -> None:
    """A token is no token, or comes with a resourceVersion."""
    for name in ("a", "b"):
        await rest.configmap(name)
    path = rest.path("configmaps")
    token = (await rest.get(path, limit="1")).json["metadata"]["continue"]

    assert failure(await rest.get(path, {"continue": "abc"}))[:2] == (400, "BadRequest")
    mixed = await rest.get(path, {"limit": "1", "continue": token, "resourceVersion": "5"})
    assert failure(mixed)[:2] == (400, "BadRequest")
    assert mixed.json["message"] == "specifying resource version is not allowed when using continue"


async def test_which_version_is_read(rest: Rest) -> None:
    """Absent, 0, not older than, exactly."""
    await rest.configmap("a")
    old = (await rest.configmap("b")).version
    await rest.caught_up(await rest.configmap("c"))

    assert await names(rest) == ["a", "b", "c"]
    assert await names(rest, resourceVersion="0") == ["a", "b", "c"]
    assert await names(rest, resourceVersion=old) == ["a", "b", "c"]
    assert await names(rest, resourceVersion=old, resourceVersionMatch="NotOlderThan") == ["a", "b", "c"]
    assert await names(rest, resourceVersion=old, resourceVersionMatch="Exact") == ["a", "b"]
    exact = await rest.get(rest.path("configmaps"), resourceVersion=old, resourceVersionMatch="Exact")
    assert exact.version == old


async def test_limit_and_version(rest: Rest) -> None:
    """From the watch cache ("0") a list comes whole; a limit with a bare version reads exactly that."""
    await rest.configmap("a")
    old = (await rest.configmap("b")).version
    await rest.caught_up(await rest.configmap("c"))

    assert await names(rest, limit="1", resourceVersion="0") == ["a", "b", "c"]
    path, not_older = rest.path("configmaps"), "NotOlderThan"
    assert await names(rest, limit="1", resourceVersion="0", resourceVersionMatch=not_older) == ["a", "b", "c"]
    exact = await rest.get(path, limit="1", resourceVersion=old)
    assert (exact.version, exact.json["metadata"]["remainingItemCount"]) == (old, 1)
    newer = await rest.get(path, limit="1", resourceVersion=old, resourceVersionMatch=not_older)
    assert int(newer.version) > int(old)
    assert newer.json["metadata"]["remainingItemCount"] == 2


async def test_versions_of_the_future(rest: Rest) -> None:
    """504 Timeout with the cause and a Retry-After."""
    future = str(int((await rest.configmap("a")).version) + 1_000_000)
    answer = await rest.get(rest.path("configmaps"), resourceVersion=future)
    status, reason, details = failure(answer)

    assert (status, reason) == (504, "Timeout")
    assert details == {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["message"].startswith(f"Timeout: Too large resource version: {future}, current: ")


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"resourceVersionMatch": "Exact"}, ["resourceVersionMatch"]),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, ["resourceVersionMatch"]),
        ({"resourceVersion": "5", "resourceVersionMatch": "Foo"}, ["resourceVersionMatch"]),
        ({"continue": "abc", "resourceVersionMatch": "Exact"}, ["resourceVersionMatch"] * 2),
        ({"sendInitialEvents": "true"}, ["sendInitialEvents"]),
    ],
)
async def test_parameters_that_do_not_fit(rest: Rest, query: dict[str, str], fields: list[str]) -> None:
    """422 Invalid of kind ListOptions."""
    status, reason, details = failure(await rest.get(rest.path("configmaps"), query))

    assert (status, reason) == (422, "Invalid")
    assert (details["group"], details["kind"]) == ("meta.k8s.io", "ListOptions")
    assert [cause["field"] for cause in details["causes"]] == fields


@pytest.mark.parametrize(
    "query",
    [
        {"resourceVersion": "abc"},
        {"limit": "abc"},
        {"labelSelector": "a in ("},
        {"fieldSelector": "foo=bar"},
        {"fieldSelector": "foo"},
        {"fieldSelector": "metadata.name=a=b"},
        {"fieldSelector": "metadata.name=a\\b"},
        {"fieldSelector": "metadata.name=a\\"},
        {"fieldSelector": " metadata.name=a"},
    ],
)
async def test_parameters_that_cannot_be_read(rest: Rest, query: dict[str, str]) -> None:
    """400 BadRequest without details."""
    assert failure(await rest.get(rest.path("configmaps"), query)) == (400, "BadRequest", None)


async def test_selectors(rest: Rest) -> None:
    """The full label grammar; names and namespaces as fields."""
    await rest.configmap("a", app="web", tier="1")
    await rest.configmap("b", app="db")
    await rest.configmap("c")

    for selector, expected in {
        "app=web": ["a"],
        "app==web,tier": ["a"],
        "app!=web": ["b", "c"],
        "app in (web,db)": ["a", "b"],
        "app notin (web),app": ["b"],
        "!app": ["c"],
        "tier>0": ["a"],
    }.items():
        assert await names(rest, labelSelector=selector) == expected, selector
    assert await names(rest, fieldSelector="metadata.name=b") == ["b"]
    assert await names(rest, fieldSelector="metadata.name!=b") == ["a", "c"]
    assert await names(rest, fieldSelector=f"metadata.namespace={rest.namespace},metadata.name=c") == ["c"]
    assert await names(rest, fieldSelector=",metadata.name=b,") == ["b"]
    for escaped in (r"a\,b", r"a\=b", r"a\\b", r"a\\\,metadata.name\=a"):  # one value each, that no object has
        assert await names(rest, fieldSelector=f"metadata.name={escaped}") == [], escaped
        assert await names(rest, fieldSelector=f"metadata.name!={escaped}") == ["a", "b", "c"], escaped
    assert await names(rest, fieldSelector=r"metadata.name!=a\\,metadata.name=a") == ["a"]
    everywhere = await rest.get("/api/v1/configmaps", fieldSelector=f"metadata.namespace={rest.namespace}")
    assert len(everywhere.json["items"]) == 3


async def test_pods_have_more_fields(rest: Rest) -> None:
    """spec.nodeName and status.phase."""
    pod = {"metadata": {"name": "x"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}
    assert (await rest.post(rest.path("pods"), pod)).status == 201
    await rest.patch(rest.path("pods", "x", "status"), {"status": {"phase": "Running"}})

    for selector, expected in {
        "spec.nodeName=n1": 1,
        "spec.nodeName=n2": 0,
        "spec.nodeName!=n2,status.phase=Running": 1,
        "status.phase!=Running": 0,
    }.items():
        answer = await rest.get(rest.path("pods"), fieldSelector=selector)
        assert len(answer.json["items"]) == expected, selector


async def test_big_lists_are_compressed_on_request(rest: Rest) -> None:
    """gzip above 128 KiB, if the client takes it."""
    for name in ("a", "b", "c"):
        await rest.configmap(name, data="v" * 60_000)
    path = rest.path("configmaps")
    gzip = {"Accept-Encoding": "gzip"}
    packed = await rest.request("GET", path, headers=gzip)
    small = await rest.request("GET", path, headers=gzip, query={"limit": "1"})
    plain = await rest.get(path)

    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json == plain.json
    assert "Content-Encoding" not in small.headers
    assert "Content-Encoding" not in plain.headers
