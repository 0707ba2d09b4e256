"""Server-side apply: the embedded and the real server own, merge, remove and refuse the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.gadgets import APPLY, Gadgets, apply, owners
from tests.conformance.rest import MERGE_PATCH, Rest
from tests.conformance.test_objects import failure
from tests.conformance.test_patches import JSON_PATCH

LABELS = {"app": "x"}


@pytest.fixture
async def gadgets(rest: Rest) -> Gadgets:
    return await Gadgets.define(rest)


# -- what an applier owns ------------------------------------------------------------------------------------


async def test_what_is_applied_is_created_and_owned(gadgets: Gadgets) -> None:
    """The answer is 201 the first time; neither name, kind nor keys alone are owned."""
    spec = {
        "text": "t", "struct": {"a": "1"}, "map": {"k": "v"}, "structs": {"s": {"b": "2"}}, "whole": {"w": "1"},
        "list": ["l"], "set": ["s"], "items": [{"name": "i", "port": 1, "value": "v"}], "free": {"f": {"g": [1]}},
    }  # fmt: skip
    made = await gadgets.apply("me", spec, metadata={"name": "x", "labels": {"a": "b"}})

    assert (made.status, made.json["spec"]) == (201, spec)
    (entry,) = made.json["metadata"]["managedFields"]
    assert {name: entry[name] for name in entry if name not in ("fieldsV1", "time")} == {
        "manager": "me",
        "operation": "Apply",
        "apiVersion": gadgets.group_version,
        "fieldsType": "FieldsV1",
    }
    assert entry["time"][:2] == "20"
    item = 'k:{"name":"i","port":1}'
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {
            "f:text": {},
            "f:struct": {"f:a": {}},
            "f:map": {"f:k": {}},
            "f:structs": {"f:s": {".": {}, "f:b": {}}},
            "f:whole": {},
            "f:list": {},
            "f:set": {'v:"s"': {}},
            "f:items": {item: {".": {}, "f:name": {}, "f:port": {}, "f:value": {}}},
            "f:free": {"f:f": {".": {}, "f:g": {}}},
        },
    }


async def test_the_second_time_changes_nothing(gadgets: Gadgets) -> None:
    """Neither the object nor its version; nor does a dry run."""
    spec = {"text": "t", "set": ["a", "b"], "items": [{"name": "i", "port": 1}], "map": {}}
    made = await gadgets.applied("me", spec)
    again = await gadgets.apply("me", spec)
    assert (again.status, again.body) == (200, made.body)
    tried = await apply(gadgets.rest, gadgets.path(), gadgets.obj({"text": "u"}), "me", dryRun="All")
    assert (tried.status, tried.json["spec"], tried.version) == (200, {"text": "u"}, made.version)
    assert (await gadgets.rest.get(gadgets.path())).body == made.body


async def test_what_is_no_longer_applied_is_removed(gadgets: Gadgets) -> None:
    """Fields, keys, values of sets and items of lists; not what others own."""
    await gadgets.applied(
        "me",
        {
            "text": "t",
            "struct": {"a": "1", "b": "2"},
            "map": {"k": "v", "l": "w"},
            "list": ["l"],
            "set": ["a", "b"],
            "items": [{"name": "i", "port": 1, "value": "v"}, {"name": "j", "port": 1}],
        },
    )
    await gadgets.patch("other", {"spec": {"number": 7, "struct": {"b": "3"}}})
    after = await gadgets.applied(
        "me", {"struct": {"a": "1"}, "map": {"l": "w"}, "set": ["b"], "items": [{"name": "i", "port": 1}]}
    )

    assert after.json["spec"] == {
        "number": 7,
        "struct": {"a": "1", "b": "3"},
        "map": {"l": "w"},
        "set": ["b"],
        "items": [{"name": "i", "port": 1}],
    }
    emptied = await gadgets.applied("me", {})
    assert emptied.json["spec"] == {"number": 7, "struct": {"b": "3"}}
    assert owners(emptied) == {"other/Update": {"spec number", "spec struct b"}, "me/Apply": {"spec"}}
    gone = await gadgets.applied("me")
    assert owners(gone) == {"other/Update": {"spec number", "spec struct b"}}


async def test_two_may_own_the_same(gadgets: Gadgets) -> None:
    """Whoever sets the same value shares it; it goes with the last of them."""
    first = await gadgets.applied("one", {"text": "t", "set": ["a"]})
    second = await gadgets.applied("two", {"text": "t", "set": ["b"]})
    assert owners(second) == {
        "one/Apply": {"spec text", 'spec set v:"a"'},
        "two/Apply": {"spec text", 'spec set v:"b"'},
    }
    assert second.json["spec"] == {"text": "t", "set": ["a", "b"]}
    assert int(second.version) > int(first.version)
    third = await gadgets.applied("one", {"set": ["a"]})
    assert third.json["spec"] == {"text": "t", "set": ["a", "b"]}
    fourth = await gadgets.applied("two", {"set": ["b"]})
    assert fourth.json["spec"] == {"set": ["a", "b"]}


async def test_the_order_of_lists(gadgets: Gadgets) -> None:
    """That of what is applied, where it changes something; others stay near where they were."""

    def items(names: str) -> dict[str, Any]:
        return {"items": [{"name": name, "port": 1} for name in names], "set": list(names)}

    await gadgets.applied("one", items("abc"))
    for manager, names, expected in (
        ("two", "cxa", "bcxa"),
        ("one", "cba", "cxba"),
        ("three", "ayd", None),
        ("one", "abc", None),
        ("two", "", None),
    ):
        after = await gadgets.applied(manager, items(names))
        found = "".join(each["name"] for each in after.json["spec"]["items"])
        assert "".join(after.json["spec"]["set"]) == found
        assert expected is None or sorted(found) == sorted(expected)


async def test_a_part_that_is_owned_cannot_lose_its_last_field(gadgets: Gadgets) -> None:
    """It becomes null, which no schema allows: 422. Without the part, all is well."""
    await gadgets.applied("me", {"map": {"k": "v"}, "text": "t"})
    refused = await gadgets.apply("me", {"map": {}, "text": "t"})

    status, reason, details = failure(refused)
    assert (status, reason, details["kind"]) == (422, "Invalid", "Gadget")
    problem = 'Invalid value: "null": spec.map in body must be of type object: "null"'
    assert details["causes"] == [{"reason": "FieldValueTypeInvalid", "message": problem, "field": "spec.map"}]
    assert (await gadgets.applied("me", {"text": "t"})).json["spec"] == {"text": "t"}


# -- conflicts -----------------------------------------------------------------------------------------------


async def test_a_conflict_names_the_other_and_the_field(gadgets: Gadgets) -> None:
    """409 with a cause; nothing is applied."""
    made = await gadgets.applied("one", {"text": "t", "number": 1})
    refused = await gadgets.apply("two", {"text": "u", "list": ["l"]})

    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.text"}
    assert failure(refused) == (409, "Conflict", {"causes": [cause]})
    assert refused.json["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.text'
    assert (await gadgets.rest.get(gadgets.path())).body == made.body


async def test_several_conflicts(gadgets: Gadgets) -> None:
    """By manager, with those of updates in the version that they wrote."""
    await gadgets.applied("one", {"text": "t", "items": [{"name": "i", "port": 1, "value": "v"}]})
    await gadgets.patch("two", {"spec": {"number": 1, "map": {"k": "v"}}})
    refused = await gadgets.apply(
        "three",
        {"text": "u", "number": 2, "map": {"k": "w"}, "items": [{"name": "i", "port": 1, "value": "w"}]},
    )

    status, reason, details = failure(refused)
    update = f'conflict with "two" using {gadgets.group_version}'
    assert (status, reason) == (409, "Conflict")
    assert {(each["field"], each["message"]) for each in details["causes"]} == {
        ('.spec.items[name="i",port=1].value', 'conflict with "one"'),
        (".spec.text", 'conflict with "one"'),
        (".spec.map.k", update),
        (".spec.number", update),
    }
    message = refused.json["message"]
    assert message.startswith("Apply failed with 4 conflicts: conflicts with ")
    assert 'conflicts with "one":\n- ' in message
    assert f'conflicts with "two" using {gadgets.group_version}:\n- ' in message
    assert '- .spec.items[name="i",port=1].value' in message


async def test_force_takes_the_fields(gadgets: Gadgets) -> None:
    """They belong to the winner alone; the loser's next apply conflicts."""
    await gadgets.applied("one", {"text": "t", "number": 1})
    taken = await gadgets.applied("two", {"text": "u"}, force=True)
    assert taken.json["spec"] == {"text": "u", "number": 1}
    assert owners(taken) == {"one/Apply": {"spec number"}, "two/Apply": {"spec text"}}
    assert (await gadgets.apply("one", {"text": "t", "number": 1})).status == 409
    agreed = await gadgets.applied("one", {"text": "u", "number": 1})
    assert owners(agreed)["one/Apply"] == {"spec text", "spec number"}


async def test_atomic_parts_conflict_as_a_whole(gadgets: Gadgets) -> None:
    """Lists without a type and maps that say so; sets and maps do not."""
    await gadgets.applied("one", {"list": ["a"], "whole": {"a": "1"}, "set": ["a"], "map": {"a": "1"}})
    fine = await gadgets.apply("two", {"set": ["b"], "map": {"b": "2"}})
    assert fine.status == 200
    refused = await gadgets.apply("two", {"list": ["a", "b"], "whole": {"a": "1", "b": "2"}})
    assert {each["field"] for each in failure(refused)[2]["causes"]} == {".spec.list", ".spec.whole"}
    assert (await gadgets.applied("two", {"list": ["b"], "whole": {}}, force=True)).json["spec"] == {
        "list": ["b"], "whole": {}, "set": ["a"], "map": {"a": "1"},
    }  # fmt: skip


# -- updates and patches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "patch"),
    [
        (MERGE_PATCH, {"spec": {"text": "u", "number": 2, "map": None}}),
        (
            JSON_PATCH,
            [
                {"op": "replace", "path": "/spec/text", "value": "u"},
                {"op": "add", "path": "/spec/number", "value": 2},
                {"op": "remove", "path": "/spec/map"},
            ],
        ),
    ],
)
async def test_patches_take_what_they_change(gadgets: Gadgets, content_type: str, patch: Any) -> None:
    """And nothing else; what they remove belongs to nobody."""
    await gadgets.applied("one", {"text": "t", "list": ["l"], "map": {"k": "v"}})
    after = await gadgets.patch("two", patch, content_type)

    assert owners(after) == {"one/Apply": {"spec list"}, "two/Update": {"spec text", "spec number"}}
    refused = await gadgets.apply("one", {"text": "t"})
    message = f'conflict with "two" using {gadgets.group_version}'
    assert failure(refused)[2]["causes"] == [
        {"reason": "FieldManagerConflict", "message": message, "field": ".spec.text"}
    ]
    more = await gadgets.patch("two", {"spec": {"struct": {"a": "1"}}})
    assert owners(more)["two/Update"] == {"spec text", "spec number", "spec struct", "spec struct a"}


async def test_a_put_takes_what_it_changes(gadgets: Gadgets) -> None:
    """Named by the query, or by the program; without a change, nothing moves."""
    made = await gadgets.applied("one", {"text": "t", "number": 1})
    same = await gadgets.rest.put(gadgets.path(), made.json)
    assert same.body == made.body
    put = await gadgets.rest.put(gadgets.path(), made.json | {"spec": {"text": "u"}})
    assert owners(put) == {"aioinformers-tests/Update": {"spec text"}}
    bare = put.json | {"spec": {"text": "u", "number": 2}}
    bare["metadata"] = {name: bare["metadata"][name] for name in ("name", "resourceVersion")}
    query = {"fieldManager": "two"}
    moved = await gadgets.rest.request("PUT", gadgets.path(), bare, query=query)
    assert owners(moved) == {"aioinformers-tests/Update": {"spec text"}, "two/Update": {"spec number"}}


async def test_what_is_created_is_owned(rest: Rest) -> None:
    """By an update of whoever created it, with the objects that fields are in."""
    obj = {"metadata": {"name": "x", "labels": {"a": "b"}, "finalizers": ["x.io/a"]}, "data": {"k": "v"}}
    made = await rest.request("POST", rest.path("configmaps"), obj, query={"fieldManager": "me"})

    (entry,) = made.json["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("me", "Update", "v1")
    assert entry["fieldsV1"] == {
        "f:data": {".": {}, "f:k": {}},
        "f:metadata": {
            "f:finalizers": {".": {}, 'v:"x.io/a"': {}},
            "f:labels": {".": {}, "f:a": {}},
        },
    }
    assert list(entry) == ["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1"]


async def test_owners_can_be_reset(gadgets: Gadgets) -> None:
    """Then nobody is known until the next apply, before which everything was somebody's."""
    await gadgets.applied("one", {"text": "t", "number": 1})
    reset = await gadgets.patch("two", {"metadata": {"managedFields": [{}]}, "spec": {"list": ["l"]}})
    assert owners(reset) == {}
    untracked = await gadgets.patch("two", {"spec": {"list": ["m"]}})
    assert owners(untracked) == {}
    refused = await gadgets.apply("three", {"text": "u"})
    message = f'conflict with "before-first-apply" using {gadgets.group_version}'
    assert [each["message"] for each in failure(refused)[2]["causes"]] == [message]
    applied = await gadgets.applied("three", {"text": "t"})
    assert owners(applied) == {
        "three/Apply": {"spec text"},
        "before-first-apply/Update": {"spec", "spec text", "spec number", "spec list"},
    }


async def test_old_updates_are_put_together(gadgets: Gadgets) -> None:
    """Ten of them are kept."""
    await gadgets.applied("me", {"text": "t"})
    for number in range(12):
        await gadgets.patch(f"m{number:02}", {"spec": {"map": {f"k{number}": "v"}}})
    after = await gadgets.rest.get(gadgets.path())
    names = {name for name in owners(after) if name.endswith("/Update")}
    assert len(names) == 10
    assert "ancient-changes/Update" in names


# -- subresources --------------------------------------------------------------------------------------------


async def test_the_status_is_applied_apart(gadgets: Gadgets) -> None:
    """Its owner has the subresource in the name; each path keeps to its part."""
    made = await gadgets.applied("me", {"text": "t"}, status={"phase": "New"})
    assert "status" not in made.json
    assert owners(made) == {"me/Apply": {"spec text"}}
    obj = gadgets.obj({"text": "u"}, status={"phase": "Ready", "conditions": [{"type": "A", "status": "True"}]})
    reported = await apply(gadgets.rest, gadgets.path("status"), obj, "me")
    assert (reported.status, reported.json["spec"], reported.json["status"]["phase"]) == (200, {"text": "t"}, "Ready")
    condition = 'status conditions k:{"type":"A"}'
    assert owners(reported) == {
        "me/Apply": {"spec text"},
        "me/Apply/status": {"status phase", condition, f"{condition} type", f"{condition} status"},
    }
    other = await gadgets.rest.request(
        "PATCH",
        gadgets.path("status"),
        {"status": {"phase": "Old"}},
        content_type=MERGE_PATCH,
        query={"fieldManager": "me"},
    )
    assert owners(other)["me/Update/status"] == {"status phase"}
    refused = await apply(gadgets.rest, gadgets.path("status"), obj, "me")
    message = f'conflict with "me" with subresource "status" using {gadgets.group_version}'
    assert [each["message"] for each in failure(refused)[2]["causes"]] == [message]
    missing = gadgets.rest.path("gadgets", "y", "status", group=gadgets.group_version)
    assert (await apply(gadgets.rest, missing, gadgets.obj() | {"metadata": {"name": "y"}}, "me")).status == 404


async def test_a_scale_is_applied(rest: Rest) -> None:
    """It owns the replicas of the workload."""
    path = rest.path("deployments", "x", group="apps/v1")
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}
    assert (await apply(rest, path, obj, "one")).status == 201
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "x"}, "spec": {"replicas": 3}}
    refused = await apply(rest, f"{path}/scale", scale, "two")
    assert failure(refused)[2]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.replicas"}
    ]
    scaled = await apply(rest, f"{path}/scale", scale, "two", force=True)
    assert (scaled.status, scaled.json["kind"], scaled.json["spec"]) == (200, "Scale", {"replicas": 3})
    after = await rest.get(path)
    assert owners(after)["two/Apply/scale"] == {"spec replicas"}
    assert "spec replicas" not in owners(after)["one/Apply"]
    patched = await rest.request(
        "PATCH", f"{path}/scale", {"spec": {"replicas": 4}}, content_type=MERGE_PATCH, query={"fieldManager": "hpa"}
    )
    assert patched.status == 200
    assert owners(await rest.get(path))["hpa/Update/scale"] == {"spec replicas"}
    again = await apply(rest, f"{path}/scale", scale, "two")
    message = 'conflict with "hpa" with subresource "scale" using autoscaling/v1'
    assert [each["message"] for each in failure(again)[2]["causes"]] == [message]


# -- built-in kinds ------------------------------------------------------------------------------------------


async def test_built_in_kinds_by_their_keys(rest: Rest) -> None:
    """Two share a Deployment: containers, their variables and ports, labels."""
    path = rest.path("deployments", "x", group="apps/v1")

    def obj(labels: Any, *containers: Any, **more: Any) -> Any:
        template = {"metadata": {"labels": LABELS}, "spec": {"containers": list(containers)}}
        spec = {"selector": {"matchLabels": LABELS}, "template": template, **more}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "x", "labels": labels},
            "spec": spec,
        }

    one = {"name": "c", "image": "i:1", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}
    made = await apply(rest, path, obj({"a": "1"}, one, replicas=2), "one")
    assert made.status == 201, made.body
    two = {"name": "c", "env": [{"name": "B", "value": "2"}], "ports": [{"containerPort": 81, "protocol": "TCP"}]}
    sidecar = {"name": "s", "image": "s:1"}
    shared = await apply(rest, path, obj({"b": "2"}, two, sidecar), "two")
    assert shared.status == 200, shared.body
    first, second = shared.json["spec"]["template"]["spec"]["containers"]
    assert (first["name"], first["image"], second["name"]) == ("c", "i:1", "s")
    assert [each["name"] for each in first["env"]] == ["A", "B"]
    assert [each["containerPort"] for each in first["ports"]] == [80, 81]
    assert shared.json["metadata"]["labels"] == {"a": "1", "b": "2"}

    container = 'spec template spec containers k:{"name":"c"}'
    assert owners(shared)["one/Apply"] >= {
        container,
        f"{container} image",
        f'{container} env k:{{"name":"A"}} value',
        f'{container} ports k:{{"containerPort":80,"protocol":"TCP"}} containerPort',
        "spec replicas",
        "spec selector",
        "metadata labels a",
    }
    assert f"{container} image" not in owners(shared)["two/Apply"]
    refused = await apply(rest, path, obj({}, {"name": "c", "image": "i:2"}), "two")
    assert [each["field"] for each in failure(refused)[2]["causes"]] == [
        '.spec.template.spec.containers[name="c"].image'
    ]
    left = await apply(rest, path, obj({"a": "1"}, {"name": "c", "image": "i:1"}, replicas=2), "one")
    containers = left.json["spec"]["template"]["spec"]["containers"]
    assert sorted(each["name"] for each in containers) == ["c", "s"]
    (kept,) = (each for each in containers if each["name"] == "c")
    assert [each["name"] for each in kept["env"]] == ["B"]
    assert [each["containerPort"] for each in kept["ports"]] == [81]


async def test_finalizers_and_owners_are_applied(rest: Rest) -> None:
    """Beside those of others."""
    path = rest.path("configmaps", "x")

    def obj(uid: str, finalizer: str) -> Any:
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": uid, "uid": uid}
        metadata = {"name": "x", "ownerReferences": [owner], "finalizers": [finalizer]}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    await apply(rest, path, obj("u", "x.io/a"), "one")
    both = await apply(rest, path, obj("v", "x.io/b"), "two")
    metadata = both.json["metadata"]
    assert (metadata["finalizers"], [each["uid"] for each in metadata["ownerReferences"]]) == (
        ["x.io/a", "x.io/b"],
        ["u", "v"],
    )
    assert owners(both)["two/Apply"] == {
        'metadata ownerReferences k:{"uid":"v"}',
        'metadata finalizers v:"x.io/b"',
    }
    bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    gone = await apply(rest, path, bare, "one")
    assert gone.json["metadata"]["finalizers"] == ["x.io/b"]
    assert [each["uid"] for each in gone.json["metadata"]["ownerReferences"]] == ["v"]


async def test_yaml(rest: Rest) -> None:
    """Bodies are YAML, of which JSON is a part."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  k: v  # a comment\n"
    made = await apply(rest, rest.path("configmaps", "x"), text.encode(), "me")

    assert (made.status, made.json["data"]) == (201, {"k": "v"})
    assert owners(made) == {"me/Apply": {"data k"}}


# -- refusals ------------------------------------------------------------------------------------------------


async def test_appliers_need_a_name(rest: Rest) -> None:
    """422 names the option."""
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    refused = await rest.patch(rest.path("configmaps", "x"), obj, APPLY)
    status, reason, details = failure(refused)

    assert (status, reason, details["kind"]) == (422, "Invalid", "PatchOptions")
    assert details["causes"] == [
        {
            "reason": "FieldValueRequired",
            "message": "Required value: is required for apply patch",
            "field": "fieldManager",
        }
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "Secret"}, "invalid object type: /v1, Kind=Secret"),
        ({"apiVersion": "v2"}, "invalid object type: /v2, Kind=ConfigMap"),
        ({"apiVersion": None, "kind": None}, "invalid object type: "),
        ({"metadata": {"name": "x", "managedFields": []}}, "metadata.managedFields must be nil"),
        ({"metadata": {"name": "y"}}, "the name of the object (y) does not match the name on the URL (x)"),
        ({"metadata": {}}, "the name of the object (x based on URL) was undeterminable: name must be provided"),
        ({"metadata": {"name": "x", "namespace": "y"}}, "the namespace of the provided object does not match"),
    ],
)
async def test_objects_that_cannot_be_applied(rest: Rest, change: Any, words: str) -> None:
    """400 BadRequest."""
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}} | change
    given = {name: value for name, value in obj.items() if value is not None}
    refused = await apply(rest, rest.path("configmaps", "x"), given, "me")

    assert failure(refused) == (400, "BadRequest", None)
    assert words in refused.json["message"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"items": [{"name": "i", "port": 1}, {"name": "i", "port": 1}]},
            '.spec.items: duplicate entries for key [name="i",port=1]',
        ),
        ({"set": ["a", "a"]}, '.spec.set: duplicate entries for key [="a"]'),
        (
            {"items": [{"value": "v"}]},
            ".spec.items: element 0: associative list with keys has an element that omits all",
        ),
    ],
)
async def test_lists_that_cannot_be_applied(gadgets: Gadgets, spec: Any, words: str) -> None:
    """500 says what is wrong, and where."""
    refused = await gadgets.apply("me", spec)
    name = f"{gadgets.rest.namespace}/x; {gadgets.group_version}, Kind=Gadget"

    assert refused.status == 500, refused.body
    assert "failed to create typed patch object (" in refused.json["message"]
    assert name in refused.json["message"] or f"/x; {gadgets.group_version}" in refused.json["message"]
    assert words in refused.json["message"]


async def test_an_apply_may_be_guarded(rest: Rest) -> None:
    """By the version and the uid."""
    path, kind = rest.path("configmaps", "x"), {"apiVersion": "v1", "kind": "ConfigMap"}
    lost = await apply(rest, path, {**kind, "metadata": {"name": "x", "uid": "u"}}, "me")
    assert failure(lost)[:2] == (409, "Conflict")
    made = await apply(rest, path, {**kind, "metadata": {"name": "x"}, "data": {"k": "v"}}, "me")
    guarded = {"name": "x", "resourceVersion": made.version}
    changed = await apply(rest, path, {**kind, "metadata": guarded, "data": {"k": "w"}}, "me")
    assert changed.status == 200, changed.body
    stale = await apply(rest, path, {**kind, "metadata": guarded, "data": {"k": "x"}}, "me")
    assert failure(stale)[:2] == (409, "Conflict")
    assert "data f:metadata" not in owners(changed)["me/Apply"]


async def test_without_a_schema_lists_are_atomic(rest: Rest) -> None:
    """And everything else is owned field by field."""
    gadgets = await Gadgets.define(rest, {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    made = await gadgets.applied("one", {"list": [{"name": "a"}], "map": {"k": {"l": 1}}, "empty": {}, "null": [None]})
    assert owners(made)["one/Apply"] == {
        "spec", "spec list", "spec map", "spec map k", "spec map k l", "spec empty", "spec null",
    }  # fmt: skip
    refused = await gadgets.apply("two", {"list": [{"name": "b"}], "map": {"k": {"m": 1}}})
    assert [each["field"] for each in failure(refused)[2]["causes"]] == [".spec.list"]
    less = await gadgets.applied("one", {"map": {}})
    assert less.json["spec"] == {"map": None}
