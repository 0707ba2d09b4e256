"""``get`` and ``watch``: what they print of the objects there are, and of each change."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.cli.shell import Shell, process, stderr_of
from tests.kit import pod, until


async def test_get_prints_the_objects_of_the_contexts_namespace(shell: Shell) -> None:
    result = await shell.run("get", "pods")

    assert result.code == 0
    assert result.err == ""
    assert [row[:2] for row in result.rows] == [["NAMESPACE", "NAME"], ["shop", "web-1"], ["shop", "web-2"]]


@pytest.mark.parametrize("name", ["wd", "widgets", "widget", "Widget", "widgets.example.com", "widgets.v1.example.com"])
async def test_get_finds_a_resource_by_any_of_its_names(shell: Shell, name: str) -> None:
    result = await shell.run("get", name)

    assert result.code == 0
    assert result.rows[1][:3] == ["shop", "red", "Painted"]


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (["-A"], ["db-1", "web-1", "web-2"]),
        (["-n", "data"], ["db-1"]),
        (["-l", "app in (web),!tier"], ["web-1"]),
        (["-A", "--field-selector", "metadata.name!=web-1"], ["db-1", "web-2"]),
        (["web-2"], ["web-2"]),
    ],
)
async def test_get_narrows_what_it_prints(shell: Shell, argv: list[str], names: list[str]) -> None:
    result = await shell.run("get", "po", *argv, "-o", "name")

    assert result.code == 0
    assert result.out.split() == [f"pod/{name}" for name in names]


async def test_get_names_groups_and_sorts_namespaces(shell: Shell) -> None:
    result = await shell.run("get", "widgets", "-o", "name")

    assert result.out == "widget.example.com/red\n"


async def test_get_of_a_cluster_scoped_resource_ignores_the_namespace(shell: Shell) -> None:
    result = await shell.run("get", "nodes", "-n", "shop")

    assert result.code == 0
    assert [row[0] for row in result.rows] == ["NAME", "n1"]


async def test_get_wide_shows_labels_and_versions(shell: Shell) -> None:
    result = await shell.run("get", "pods", "web-2", "-o", "wide")

    version = shell.server.get("pods", "web-2", namespace="shop")["metadata"]["resourceVersion"]
    assert result.rows[0][-2:] == ["RESOURCE-VERSION", "LABELS"]
    assert result.rows[1][-2:] == [version, "app=web,tier=front"]


async def test_get_json_is_a_list_and_of_one_object_the_object(shell: Shell) -> None:
    listed, one = await shell.run("get", "pods", "-o", "json"), await shell.run("get", "pod", "web-1", "-o", "json")

    stored = shell.server.get("pods", "web-1", namespace="shop")
    assert json.loads(listed.out)["items"][0] == stored
    assert json.loads(one.out) == stored


async def test_get_of_nothing_says_so_and_is_no_failure(shell: Shell) -> None:
    result = await shell.run("get", "pods", "-n", "empty")

    assert (result.code, result.out) == (0, "")
    assert result.err == "aioinformers: no pods.v1 found in namespace empty\n"


async def test_watch_prints_what_there_is_and_then_each_change(shell: Shell) -> None:
    command = asyncio.create_task(shell.run("watch", "pods", "--seconds", "2"))
    await until(lambda: shell.watches("pods") > 0)
    await asyncio.sleep(0.3)
    shell.server.create("pods", pod("web-3", "shop"))
    shell.server.patch("pods", "web-3", {"status": {"phase": "Running"}}, namespace="shop")
    shell.server.delete("pods", "web-1", namespace="shop")
    shell.server.create("pods", pod("elsewhere", "data"))
    result = await command

    assert (result.code, result.err) == (0, "")
    assert [row[:4] for row in result.rows] == [
        ["EVENT", "NAMESPACE", "NAME", "STATUS"],
        ["ADDED", "shop", "web-1", "Unknown 0/1"],
        ["ADDED", "shop", "web-2", "Unknown 0/1"],
        ["ADDED", "shop", "web-3", "Unknown 0/1"],
        ["MODIFIED", "shop", "web-3", "Running 0/1"],
        ["DELETED", "shop", "web-1", "Unknown 0/1"],
    ]


async def test_watch_json_is_one_event_per_line(shell: Shell) -> None:
    command = asyncio.create_task(shell.run("watch", "wd", "-o", "json", "--seconds", "1.5"))
    await until(lambda: shell.watches("widgets") > 0)
    await asyncio.sleep(0.3)
    changed = shell.server.patch("widgets", "red", {"spec": {"color": "rouge à lèvres"}}, namespace="shop")
    shell.server.delete("widgets", "red", namespace="shop")
    result = await command

    events = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 0
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[1]["object"] == changed


async def test_watch_ends_quietly_when_nobody_reads(shell: Shell) -> None:
    async with process("watch", "pods") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.stdout._transport.close()  # type: ignore[attr-defined]
        shell.server.create("pods", pod("web-3", "shop"))
        async with asyncio.timeout(60):
            assert await child.wait() == 0
        assert await stderr_of(child) == ""
