"""``shardSelector`` (KEP-5866), where the feature gate is on and where it is off; both servers answer alike.

Which objects are in which shard is told by the hashes of this package: a server that hashed otherwise would fail.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from aioinformers import Metadata, Settings, SharedInformer, SharedInformerFactory
from aioinformers.sharding import Field, Shard, hash_field, shard_selector
from aioinformers.testing import FakeAPIServer
from tests.conformance.rest import Answer, Rest, WatchEvent
from tests.conformance.test_objects import failure
from tests.kit.fixtures import real_server_with
from tests.kit.realserver import RealAPIServer

HALVES = [Shard(0, of=2), Shard(1, of=2)]
LOWER, UPPER = (shard.selector for shard in HALVES)
WHOLE = Shard(0, of=1).selector
STREAM = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}

EITHER = ["fake", pytest.param("real", marks=pytest.mark.realserver)]


@pytest.fixture(params=EITHER)
async def rest(request: pytest.FixtureRequest) -> AsyncIterator[Rest]:
    """Either server with the gate on, as that of the other tests has it."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "real":
            server: RealAPIServer | FakeAPIServer = request.getfixturevalue("real_server")
        else:
            server = await stack.enter_async_context(FakeAPIServer(shard_selector=True))
        yield await stack.enter_async_context(Rest.connect(server))


@pytest.fixture(scope="module")
def real_server_without() -> Iterator[RealAPIServer]:
    """A real server with the gate off, as by default in 1.37."""
    with real_server_with("--feature-gates=ShardedListAndWatch=false") as server:
        yield server


@pytest.fixture(params=EITHER)
async def rest_without(request: pytest.FixtureRequest) -> AsyncIterator[Rest]:
    """Either server with the gate off."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "real":
            server: RealAPIServer | FakeAPIServer = request.getfixturevalue("real_server_without")
        else:
            server = await stack.enter_async_context(FakeAPIServer())
        yield await stack.enter_async_context(Rest.connect(server))


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [item["metadata"]["name"] for item in answer.json["items"]]


def seen(events: list[WatchEvent]) -> list[tuple[str, str]]:
    return [(event.type, event.name) for event in events]


def uid_of(made: Answer) -> str:
    uid: str = made.json["metadata"]["uid"]
    return uid


async def configmaps(rest: Rest, *, least: int = 2) -> dict[str, int]:
    """Create ConfigMaps until either half has some; return by name the index of its half, in the order of lists."""
    halves: dict[str, int] = {}
    while min(map(list(halves.values()).count, (0, 1))) < least:
        made = await rest.configmap(f"c{len(halves):02}")
        halves[f"c{len(halves):02}"] = int(HALVES[1].contains(uid_of(made)))
    return halves


def in_half(halves: Mapping[str, int], half: int) -> list[str]:
    return [name for name, index in halves.items() if index == half]


async def watch_both(rest: Rest, query: Mapping[str, str] | None = None) -> list[list[WatchEvent]]:
    """Watch either half, at the same time."""
    path = rest.path("configmaps")
    return await asyncio.gather(*(rest.watch(path, query, shardSelector=shard.selector) for shard in HALVES))


# -- lists --------------------------------------------------------------------------------------------------------


async def test_lists_are_limited_to_a_shard(rest: Rest) -> None:
    halves = await configmaps(rest)
    path = rest.path("configmaps")
    for index, shard in enumerate(HALVES):
        answer = await rest.get(path, shardSelector=shard.selector)
        assert names(answer) == in_half(halves, index)
        assert answer.json["metadata"]["shardInfo"] == {"selector": shard.selector}
    assert names(await rest.get(path, shardSelector=WHOLE)) == list(halves)


@pytest.mark.parametrize("of", [3, 7, 8])
async def test_shards_together_are_all_objects(rest: Rest, of: int) -> None:
    made = [uid_of(await rest.configmap(f"c{number:02}")) for number in range(12)]
    for index in range(of):
        shard = Shard(index, of=of)
        answer = await rest.get(rest.path("configmaps"), shardSelector=shard.selector)
        uids = [item["metadata"]["uid"] for item in answer.json["items"]]
        assert uids == [uid for uid in made if shard.contains(uid)]


async def test_ranges_are_as_narrow_as_one_hash(rest: Rest) -> None:
    """The first hash of a range is in it, the one after its last is not."""
    value = hash_field(uid_of(await rest.configmap("x")))
    for ranges, found in [
        ([(value, value + 1)], ["x"]),
        ([(value - 1, value)], []),
        ([(value + 1, value + 2)], []),
        ([(value - 1, value), (value + 1, value + 2)], []),
        ([(value + 1, value + 2), (value, value + 1)], ["x"]),
    ]:
        answer = await rest.get(rest.path("configmaps"), shardSelector=shard_selector(ranges))
        assert names(answer) == found


async def test_shards_by_namespace(rest: Rest) -> None:
    """All of a namespace or nothing; what is in no namespace has an empty one."""
    await rest.configmap("x")
    await rest.configmap("y")
    for number in range(8):
        shard = Shard(number, of=8, by="namespace")
        found = ["x", "y"] if shard.contains(rest.namespace) else []
        for path in (rest.path("configmaps"), "/api/v1/configmaps"):
            answer = await rest.get(path, shardSelector=shard.selector)
            mine = [item for item in answer.json["items"] if item["metadata"]["namespace"] == rest.namespace]
            assert [item["metadata"]["name"] for item in mine] == found
        spaces = await rest.get("/api/v1/namespaces", shardSelector=shard.selector)
        assert bool(names(spaces)) is shard.contains("")


async def test_bytes_of_a_list_of_a_shard(rest: Rest) -> None:
    await rest.configmap("x")
    await rest.configmap("y")
    answer = await rest.get(rest.path("configmaps"), shardSelector=WHOLE, limit="1")
    metadata = answer.json["metadata"]
    expected = (
        f'{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{"resourceVersion":"{answer.version}",'
        f'"continue":"{metadata["continue"]}","shardInfo":{{"selector":"{WHOLE}"}}}},"items":[{{"metadata":'
    )
    assert answer.body.startswith(expected.encode())


@pytest.mark.parametrize(
    ("written", "repeated"),
    [
        (f"{UPPER} || {LOWER}", f"{UPPER} || {LOWER}"),
        (f"{LOWER}||{LOWER}", f"{LOWER} || {LOWER}"),
        (f"({LOWER}) || ({UPPER} || {LOWER})", f"{LOWER} || {UPPER} || {LOWER}"),
        (f"  {LOWER.replace(', ', '  ,')}\n", LOWER),
        (LOWER.replace("'", '"').replace("(", " ( ").replace(".", " . "), LOWER),
        (f"// mine\n{LOWER} // and no more", LOWER),
    ],
)
async def test_lists_repeat_the_selector_in_one_form(rest: Rest, written: str, repeated: str) -> None:
    """The ranges in their order, and not united."""
    answer = await rest.get(rest.path("configmaps"), shardSelector=written)
    assert answer.status == 200, answer.body
    assert answer.json["metadata"]["shardInfo"] == {"selector": repeated}


async def test_lists_of_custom_kinds_are_limited_and_do_not_say_so(rest: Rest) -> None:
    """So that a list without ``shardInfo`` need not be that of a server without shards."""
    widgets = await rest.custom_resource()
    halves = {}
    for number in range(6):
        made = await rest.widget(widgets, f"w{number}")
        halves[f"w{number}"] = int(HALVES[1].contains(uid_of(made)))
    path = rest.path("widgets", group=widgets)
    for index, shard in enumerate(HALVES):
        answer = await rest.get(path, shardSelector=shard.selector)
        assert names(answer) == in_half(halves, index)
        assert answer.json["metadata"] == {"continue": "", "resourceVersion": answer.version}
        watched = await rest.watch(path, shardSelector=shard.selector)
        assert [event.name for event in watched] == in_half(halves, index)


async def test_selectors_of_labels_fields_and_shards_narrow_together(rest: Rest) -> None:
    """A field that names the only object narrows as well, and the list says of which shard it is."""
    made = {name: await rest.configmap(name, app=app) for name, app in (("x", "web"), ("y", "web"), ("z", "db"))}
    path = rest.path("configmaps")
    for shard in HALVES:
        within = [name for name in made if shard.contains(uid_of(made[name]))]
        labelled = await rest.get(path, shardSelector=shard.selector, labelSelector="app=web")
        assert names(labelled) == [name for name in within if name != "z"]
        for name in made:
            one = await rest.get(path, shardSelector=shard.selector, fieldSelector=f"metadata.name={name}")
            assert names(one) == [each for each in within if each == name]
            assert one.json["metadata"]["shardInfo"] == {"selector": shard.selector}


# -- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_pages_of_a_shard_together_are_its_list(rest: Rest, limit: int) -> None:
    """Each but the last is full, each says of which shard it is, and none counts what is left."""
    halves = await configmaps(rest)
    path = rest.path("configmaps")
    for index, shard in enumerate(HALVES):
        query = {"shardSelector": shard.selector, "limit": str(limit)}
        pages = [await rest.get(path, query)]
        while token := pages[-1].json["metadata"].get("continue"):
            pages.append(await rest.get(path, query | {"continue": token}))
        assert [name for page in pages for name in names(page)] == in_half(halves, index)
        assert all(len(names(page)) == limit for page in pages[:-1])
        assert len({page.version for page in pages}) == 1
        assert all("remainingItemCount" not in page.json["metadata"] for page in pages)
        assert all(page.json["metadata"]["shardInfo"] == {"selector": shard.selector} for page in pages)


async def test_the_last_page_may_be_empty(rest: Rest) -> None:
    """The server gives a token while objects are left, before it has looked at whether one of them matches."""
    halves = await configmaps(rest)
    *_, last = halves
    for index, shard in enumerate(HALVES):
        found = in_half(halves, index)
        query = {"shardSelector": shard.selector, "limit": str(len(found))}
        page = await rest.get(rest.path("configmaps"), query)
        assert names(page) == found
        token = page.json["metadata"].get("continue")
        assert bool(token) is (found[-1] != last)
        if token:
            empty = await rest.get(rest.path("configmaps"), query | {"continue": token})
            assert names(empty) == []
            assert empty.json["metadata"] == {
                "resourceVersion": page.version,
                "shardInfo": {"selector": shard.selector},
            }


@pytest.mark.parametrize(
    ("query", "is_more"),
    [
        ({"labelSelector": "app=web"}, True),
        ({"fieldSelector": "metadata.name!=y"}, True),
        ({"fieldSelector": "metadata.name=x"}, False),
        ({"fieldSelector": "metadata.name=x", "shardSelector": WHOLE}, False),
        ({"fieldSelector": "metadata.namespace={ns},metadata.name=x"}, False),
    ],
)
async def test_a_full_page_is_the_last_where_nothing_else_is_looked_at(
    rest: Rest, query: dict[str, str], is_more: bool
) -> None:
    """What holds for shards holds for other selectors; a name leads the server to one object alone."""
    await rest.configmap("x", app="web")
    await rest.configmap("y", app="db")
    asked = {name: value.replace("{ns}", rest.namespace) for name, value in query.items()}
    page = await rest.get(rest.path("configmaps"), asked, limit="1")
    assert names(page) == ["x"]
    assert ("continue" in page.json["metadata"]) is is_more


# -- watches ------------------------------------------------------------------------------------------------------


async def test_a_watch_is_told_of_its_shard_alone(rest: Rest) -> None:
    """Additions, changes and deletions of the others are not seen."""
    begin = (await rest.get(rest.path("configmaps"))).version
    halves = await configmaps(rest, least=1)
    for name in halves:
        assert (await rest.patch(rest.path("configmaps", name), {"data": {"k": "w"}})).status == 200
    for name in halves:
        assert (await rest.delete(rest.path("configmaps", name))).status == 200

    for index, events in enumerate(await watch_both(rest, {"resourceVersion": begin})):
        found = in_half(halves, index)
        assert seen(events) == [(kind, name) for kind in ("ADDED", "MODIFIED", "DELETED") for name in found]


async def test_an_object_made_anew_may_be_in_another_shard(rest: Rest) -> None:
    """The uid of an object never changes, so that only this moves a name: deleted here, and added there."""
    begin = (await rest.get(rest.path("configmaps"))).version
    made: list[int] = []
    while len(set(made)) < 2:
        made.append(int(HALVES[1].contains(uid_of(await rest.configmap("x")))))
        await rest.delete(rest.path("configmaps", "x"))
    for index, (shard, events) in enumerate(
        zip(HALVES, await watch_both(rest, {"resourceVersion": begin}), strict=True)
    ):
        assert [event.type for event in events] == ["ADDED", "DELETED"] * made.count(index)
        assert all(shard.contains(event.object["metadata"]["uid"]) for event in events)


async def test_what_labels_bring_into_a_selection_is_added_within_the_shard(rest: Rest) -> None:
    """And what they take out of it is deleted, with the content that matched last and the version of the change."""
    made = await rest.configmap("x", data="old")
    here = int(HALVES[1].contains(uid_of(made)))
    await rest.patch(rest.path("configmaps", "x"), {"metadata": {"labels": {"app": "web"}}})
    left = await rest.patch(rest.path("configmaps", "x"), {"metadata": {"labels": None}, "data": {"k": "new"}})
    query = {"labelSelector": "app=web", "resourceVersion": made.version}

    told = await watch_both(rest, query)
    events = told[here]
    assert seen(events) == [("ADDED", "x"), ("DELETED", "x")]
    assert (events[1].object["data"], events[1].version) == ({"k": "old"}, left.version)
    assert told[1 - here] == []


async def test_initial_objects_of_a_shard(rest: Rest) -> None:
    halves = await configmaps(rest, least=1)
    plain, streams = await asyncio.gather(watch_both(rest), watch_both(rest, STREAM))
    for index, (old, (*events, end)) in enumerate(zip(plain, streams, strict=True)):
        assert seen(old) == seen(events) == [("ADDED", name) for name in in_half(halves, index)]
        assert end.type == "BOOKMARK"
        assert end.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_bookmark_tells_of_changes_in_other_shards(rest: Rest) -> None:
    """A watch that is told of nothing gets on nevertheless, and says nothing of its shard."""
    made = await rest.configmap("x")
    other = HALVES[1 - int(HALVES[1].contains(uid_of(made)))]
    query = {"resourceVersion": made.version, "allowWatchBookmarks": "true", "shardSelector": other.selector}

    async def change() -> Answer:
        await asyncio.sleep(0.1)
        return await rest.patch(rest.path("configmaps", "x"), {"data": {"k": "w"}})

    events, changed = await asyncio.gather(rest.watch(rest.path("configmaps"), query, timeout=4), change())
    assert {event.type for event in events} == {"BOOKMARK"}
    assert int(events[-1].version) >= int(changed.version)
    assert "shardInfo" not in events[-1].object["metadata"]


# -- deletions ----------------------------------------------------------------------------------------------------


async def test_a_collection_loses_its_shard_alone(rest: Rest) -> None:
    halves = await configmaps(rest, least=1)
    query = {"shardSelector": LOWER}
    gone = await rest.request("DELETE", rest.path("configmaps"), query=query)
    assert sorted(names(gone)) == in_half(halves, 0)
    assert gone.json["metadata"]["shardInfo"] == {"selector": LOWER}
    assert names(await rest.get(rest.path("configmaps"))) == in_half(halves, 1)


# -- refusals -----------------------------------------------------------------------------------------------------

ONLY = "only shardRange() and || are allowed"
FIELDS = "supported: object.metadata.uid, object.metadata.namespace"
FIRST = "shardRange() first argument: expected field path (e.g. object.metadata.uid), got expression kind"
LITERAL = "must be a string literal (e.g. '0xff'), got expression kind"
UID = "object.metadata.uid"
ZERO, HALF = "'0x0000000000000000'", "'0x8000000000000000'"


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        (" ", "empty shard selector is not allowed; omit the parameter for unfiltered lists"),
        ("x", "unexpected expression kind 3; expected shardRange() call or || operator"),
        ("'x'", "unexpected expression kind 5; expected shardRange() call or || operator"),
        (UID, "unexpected expression kind 7; expected shardRange() call or || operator"),
        (f"{LOWER} || {UID}", "unexpected expression kind 7; expected shardRange() call or || operator"),
        (LOWER.replace("shardRange", "range"), f'unsupported function "range"; {ONLY}'),
        (f"{LOWER} && {UPPER}", f'unsupported function "_&&_"; {ONLY}'),
        (f"{LOWER} || {UPPER} && {UPPER}", f'unsupported function "_&&_"; {ONLY}'),
        ("shardRange()", "shardRange() requires exactly 3 arguments, got 0"),
        (f"shardRange({UID}, {ZERO})", "shardRange() requires exactly 3 arguments, got 2"),
        (
            f"shardRange(object.metadata.name, {ZERO}, {HALF})",
            f'unsupported field path "object.metadata.name"; {FIELDS}',
        ),
        (f"shardRange(metadata.uid, {ZERO}, {HALF})", f'unsupported field path "metadata.uid"; {FIELDS}'),
        (f"shardRange({ZERO}, {ZERO}, {HALF})", f"{FIRST} 5"),
        (f"shardRange(a().b, {ZERO}, {HALF})", f"{FIRST} 1"),
        (f"shardRange({UID}, 0, 8)", "hexStart must be a string literal, got int64"),
        (f"shardRange({UID}, a, 8)", f"hexStart {LITERAL} 3"),
        (f"shardRange({UID}, {ZERO}, a.b)", f"hexEnd {LITERAL} 7"),
        (f"shardRange({UID}, hex(0), '0x8')", f"hexStart {LITERAL} 1"),
        (f"shardRange({UID}, '00', {HALF})", "hexStart must have '0x' prefix, got \"00\""),
        (f"shardRange({UID}, '0x', {HALF})", "hexStart: hex value is required after '0x'"),
        (
            f"shardRange({UID}, '0x{'0' * 18}', {HALF})",
            f'hexStart: hex value too long (18 chars, max 17): "{"0" * 18}"',
        ),
        (f"shardRange({UID}, '0xA', {HALF})", 'hexStart: invalid hex character "A" in "0xA"'),
        (f"shardRange({UID}, '0xé', {HALF})", 'hexStart: invalid hex character "é" in "0xé"'),
        (
            f"shardRange({UID}, '0x{'0' * 17}', {HALF})",
            f"hexStart: 17-digit hex value must be '0x10000000000000000' (2^64), got \"0x{'0' * 17}\"",
        ),
        (
            f"shardRange({UID}, {ZERO}, '0xff')",
            'hexEnd must be a 0x-prefixed 16-digit hex value, got "0xff" (did you mean "0x00000000000000ff"?)',
        ),
        (
            f"shardRange({UID}, {HALF}, {HALF})",
            "shard range start 0x8000000000000000 must be less than end 0x8000000000000000",
        ),
        (
            f"{LOWER} || {UPPER.replace('uid', 'namespace')}",
            'all shard ranges must use the same field, got "object.metadata.uid" and "object.metadata.namespace"',
        ),
    ],
)
async def test_selectors_that_are_none(rest: Rest, selector: str, problem: str) -> None:
    """Status 500 without a reason, where a selector of labels gets 400."""
    for query in ({}, {"watch": "1", "timeoutSeconds": "1"}):
        answer = await rest.get(rest.path("configmaps"), query, shardSelector=selector)
        assert failure(answer) == (500, "", None)
        assert answer.json["message"] == f"invalid shard selector: {problem}"


@pytest.mark.parametrize(
    "selector", ["x y", "shardRange(", f"{LOWER} ||", f"{LOWER} | {UPPER}", f"{LOWER})", "'x", "#"]
)
async def test_selectors_that_are_no_expressions(rest: Rest, selector: str) -> None:
    answer = await rest.get(rest.path("configmaps"), shardSelector=selector)
    assert failure(answer) == (500, "", None)
    assert answer.json["message"].startswith("invalid shard selector: CEL parse error: Syntax error: ")


async def test_collections_are_not_deleted_by_what_is_no_selector(rest: Rest) -> None:
    await rest.configmap("x")
    refused = await rest.request("DELETE", rest.path("configmaps"), query={"shardSelector": "x"})
    assert failure(refused) == (500, "", None)
    assert names(await rest.get(rest.path("configmaps"))) == ["x"]


async def test_an_empty_selector_is_none(rest: Rest) -> None:
    await rest.configmap("x")
    answer = await rest.get(rest.path("configmaps"), shardSelector="")
    assert names(answer) == ["x"]
    assert "shardInfo" not in answer.json["metadata"]


# -- without the gate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selector", [LOWER, UPPER, "no selector at all", " "])
async def test_without_the_gate_all_objects_are_the_answer(rest_without: Rest, selector: str) -> None:
    """The parameter is passed over, whatever it says; only the missing ``shardInfo`` tells."""
    rest = rest_without
    halves = await configmaps(rest, least=1)
    path = rest.path("configmaps")
    answer = await rest.get(path, shardSelector=selector)
    assert names(answer) == list(halves)
    assert answer.json["metadata"] == {"resourceVersion": answer.version}
    assert seen(await rest.watch(path, shardSelector=selector)) == [("ADDED", name) for name in halves]
    page = await rest.get(path, shardSelector=selector, limit="1")
    assert page.json["metadata"]["remainingItemCount"] == len(halves) - 1


async def test_without_the_gate_a_collection_loses_everything(rest_without: Rest) -> None:
    """Whoever deletes by a shard must have seen a list repeat it."""
    await configmaps(rest_without, least=1)
    gone = await rest_without.request("DELETE", rest_without.path("configmaps"), query={"shardSelector": LOWER})
    assert gone.status == 200
    assert names(await rest_without.get(rest_without.path("configmaps"))) == []


@pytest.mark.parametrize("by", ["uid", "namespace"])
async def test_what_a_list_repeats_is_what_was_sent(rest: Rest, by: Field) -> None:
    """By this a client knows that the server has filtered."""
    for index in (0, 5, 6):
        shard = Shard(index, of=7, by=by)
        answer = await rest.get(rest.path("configmaps"), shardSelector=shard.selector)
        assert answer.json["metadata"]["shardInfo"]["selector"] == shard.selector


# -- informers ----------------------------------------------------------------------------------------------------

SETTINGS = Settings(backoff_jitter=0.0, page_size=3)


@pytest.fixture(params=EITHER)
async def either(request: pytest.FixtureRequest, gate: bool) -> AsyncIterator[RealAPIServer | FakeAPIServer]:
    """Either server, with or without the gate."""
    if request.param == "real":
        yield request.getfixturevalue("real_server" if gate else "real_server_without")
        return
    async with FakeAPIServer(shard_selector=gate) as server:
        yield server


def state_of(informer: SharedInformer[Any]) -> dict[str, str]:
    return {str(key): informer.indexer.resource_version(key) for key in informer.indexer}


async def state_on(rest: Rest, shard: Shard, namespaces: list[str]) -> dict[str, str]:
    """Return what a shard has of some namespaces, as a list of all objects shows it."""
    found: dict[str, str] = {}
    for namespace in namespaces:
        for item in (await rest.get(f"/api/v1/namespaces/{namespace}/configmaps")).json["items"]:
            meta = item["metadata"]
            if shard.contains(meta["uid"] if shard.by == "uid" else namespace):
                found[f"{namespace}/{meta['name']}"] = meta["resourceVersion"]
    return found


@pytest.mark.parametrize("gate", [True, False], ids=["gate on", "gate off"])
@pytest.mark.parametrize("by", ["uid", "namespace"])
async def test_each_informer_has_its_shard_whoever_filters(
    either: RealAPIServer | FakeAPIServer, gate: bool, by: Field
) -> None:
    """Of two namespaces, page by page, while objects come, change and go; and of metadata alone."""
    shards = [Shard(index, of=3, by=by) for index in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        rest, other = [await stack.enter_async_context(Rest.connect(either)) for _ in range(2)]
        api = await stack.enter_async_context(either.api_client())
        namespaces = [rest.namespace, other.namespace]
        for number in range(12):
            await (rest, other)[number % 2].configmap(f"c{number}")
        informers: list[SharedInformer[Any]] = []
        for shard in shards:
            factory = SharedInformerFactory(api, shard=shard, namespace=namespaces, settings=SETTINGS)
            stack.push_async_callback(factory.shutdown, grace=0)
            informers += [factory.core.v1.configmaps(), factory.core.v1.configmaps(object_type=Metadata)]
            await factory.start()
            await factory.wait_for_cache_sync(timeout=30)
        for turn in range(2):
            wanted = [await state_on(rest, shard, namespaces) for shard in shards for _ in range(2)]
            assert sum(map(len, wanted)) == 2 * 12
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    while [state_of(informer) for informer in informers] != wanted:
                        await asyncio.sleep(0.02)
            assert [state_of(informer) for informer in informers] == wanted
            for each in (rest, other):
                found = names(await each.get(each.path("configmaps")))
                await each.patch(each.path("configmaps", found[0]), {"data": {"k": str(turn)}})
                await each.delete(each.path("configmaps", found[1]))
                await each.configmap(f"d{turn}")
        modes = [informer.health().shard_mode for informer in informers]
        assert modes[::2] == ["server" if gate else "client"] * 3
        if isinstance(either, RealAPIServer):  # the embedded one gives whole objects
            assert modes[1::2] == ["client"] * 3
