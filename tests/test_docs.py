"""The documentation is true: its code runs, and what it names exists.

Every ``python`` block of the README and of ``docs/*.md`` is executed, page by page, against an embedded API server in
virtual time. The blocks of a page share their names and may ``await``; ``server``, ``api`` and ``factory`` are there
already. HTML comments, which readers do not see, steer it:

- ``<!-- code`` … ``-->``: Python to run here: objects to create, assertions.
- ``<!-- stop after 30 s -->``: the next block runs until somebody stops it; do so after this long.
- ``<!-- raises ValueError -->``: the next block must raise.
- ``<!-- output -->``: the next fence is what the blocks since the last such comment have printed.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import dataclasses
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast

import kubernetes_asyncio.config
import pytest
import typer.main
from kubernetes_asyncio import client
from markdown_it import MarkdownIt
from markdown_it.token import Token

import aioinformers
from aioinformers import Settings, SharedInformerFactory, errors, testing
from aioinformers.cli.app import app as command_line
from aioinformers.testing import FakeAPIServer
from tests.cluster import QUICK

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("*.md")])
TEXTS = sorted([*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"])
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

_COMMENT = re.compile(r"<!--\s*(?P<word>code\b|stop after|raises|output)(?P<rest>.*?)-->\s*", re.DOTALL)


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))


def inline(tokens: list[Token], kind: str) -> Iterator[Token]:
    """Yield the inline tokens of a kind."""
    for token in tokens:
        yield from (child for child in token.children or () if child.type == kind)


# -- the code runs --------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """Something to do on a page: run code, or compare what has been printed."""

    line: int
    code: str
    expected: str | None = None
    seconds: float | None = None
    error: str = ""


def steps_of(path: Path) -> Iterator[Step]:
    """Yield what is to be done on a page, in order."""
    seconds: float | None = None
    error, is_output = "", False
    for token in parse(path):
        line = (token.map or [0])[0] + 1
        if token.type == "html_block" and token.content.startswith("<!--"):
            match = _COMMENT.fullmatch(token.content)
            assert match is not None, f"{page_name(path)}:{line}: a comment that steers nothing: {token.content!r}"
            rest = match["rest"].strip()
            match match["word"]:
                case "code":
                    yield Step(line + 1, rest)
                case "stop after":
                    seconds = float(rest.removesuffix("s"))
                case "raises":
                    error = rest
                case _:
                    is_output = True
        elif token.type == "fence" and is_output:
            yield Step(line, "", expected=token.content)
            is_output = False
        elif token.type == "fence" and token.info == "python":
            yield Step(line + 1, token.content, None, seconds, error)
            seconds, error = None, ""


class _AwaitRuns(ast.NodeTransformer):
    """Replaces ``asyncio.run(main())`` by ``await main()``: a loop is running already."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) == "asyncio.run":
            return ast.copy_location(ast.Await(node.args[0]), node)
        return node


async def execute(step: Step, path: Path, names: dict[str, Any]) -> None:
    """Run a block as a module's code that may await; tracebacks show the page and the line."""
    tree = _AwaitRuns().visit(ast.increment_lineno(ast.parse(step.code), step.line - 1))
    code = compile(tree, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    running = eval(code, names)
    if not inspect.iscoroutine(running):
        return
    if step.seconds is None:
        await running
        return
    with pytest.raises(TimeoutError):  # it is one that runs until it is stopped
        await asyncio.wait_for(running, step.seconds)


async def load_nothing(**_: Any) -> None:
    """Stand in for what reads a kubeconfig: the default configuration points at the embedded server already."""


@pytest.mark.virtual_time
@pytest.mark.parametrize("path", PAGES, ids=page_name)
async def test_code_of_a_page_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = types.ModuleType(f"page_{path.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where classes of the page look up their names
    for name in ("load_config", "load_kube_config"):
        monkeypatch.setattr(kubernetes_asyncio.config, name, load_nothing)
    monkeypatch.setattr(kubernetes_asyncio.config, "load_incluster_config", lambda: None)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(FakeAPIServer())
        monkeypatch.setattr(client.Configuration, "_default", server.configuration())
        api = await stack.enter_async_context(server.api_client())
        factory = SharedInformerFactory(api, settings=QUICK)
        stack.push_async_callback(factory.shutdown, grace=0)
        names = vars(module)
        names |= {"server": server, "api": api, "factory": factory}
        for step in steps_of(path):
            where = f"{page_name(path)}:{step.line}"
            if step.expected is not None:
                assert capsys.readouterr().out == step.expected, where
            elif step.error:
                with pytest.raises(getattr(builtins, step.error, None) or getattr(errors, step.error)):
                    await execute(step, path, names)
            else:
                await execute(step, path, names)


def test_pages_have_code() -> None:
    """The extraction above finds what a reader sees."""
    for path in PAGES:
        fences = path.read_text(encoding="utf-8").count("```python\n")
        visible = sum(1 for token in parse(path) if token.type == "fence" and token.info == "python")
        assert visible == fences, page_name(path)
    assert sum(1 for path in PAGES for step in steps_of(path) if step.code) > 50


# -- what is named exists -------------------------------------------------------------------------------------


def commands_of(path: Path) -> Iterator[list[str]]:
    """Yield the words of every command that a page tells the reader to type."""
    tokens = parse(path)
    lines = [line for t in tokens if t.type == "fence" and t.info == "shell" for line in t.content.splitlines()]
    lines += [token.content for token in inline(tokens, "code_inline")]
    for line in lines:
        if re.match(r"(make|aioinformers|python -m aioinformers|pip install) \S", line):
            yield shlex.split(line.removeprefix("python -m "), comments=True)


@pytest.mark.parametrize("path", TEXTS, ids=page_name)
def test_commands_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    extras = set(PYPROJECT["project"]["optional-dependencies"])
    commands: dict[str, Any] = cast("Any", typer.main.get_command(command_line)).commands
    for words in commands_of(path):
        match words:
            case ["make", *rest]:
                assert {word for word in rest if "=" not in word} <= targets, words
            case ["pip", "install", package]:
                name, _, extra = package.rstrip("]").partition("[")
                assert name == "aioinformers", words
                assert set(filter(None, extra.split(","))) <= extras, words
            case ["aioinformers", "--help" | "--verbose" | "-v", *_]:
                pass
            case ["aioinformers", command, *rest]:
                options = {o for p in commands[command].params for o in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}
                given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)}
                assert given <= options, words


def test_every_command_and_option_is_documented() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    commands: dict[str, Any] = cast("Any", typer.main.get_command(command_line)).commands
    for name, command in commands.items():
        assert f"aioinformers {name}" in text
        for parameter in command.params:
            options = [option for option in parameter.opts if option.startswith("--")]
            assert all(f"`{option}" in text or f" {option}`" in text for option in options), (name, options)


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub and MyST make them."""
    tokens = parse(path)
    titles = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "heading_open"]
    texts = ["".join(child.content for child in title.children or ()) for title in titles]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("path", TEXTS, ids=page_name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in inline(parse(path), "link_open"):
        target = str(link.attrGet("href"))
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors_of(found), target
        assert path.parent != DOCS or not file or found.parent == DOCS, f"{target} is no page of the documentation"


# -- tables and lists are complete ----------------------------------------------------------------------------


def rows_of(path: Path) -> Iterator[list[list[Token]]]:
    """Yield the rows of a page's tables, each cell as its inline tokens."""
    row: list[list[Token]] = []
    tokens = parse(path)
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            row = []
        elif token.type == "td_open":
            row.append(tokens[at + 1].children or [])
        elif token.type == "tr_close" and row:
            yield row


def codes(cell: list[Token]) -> list[str]:
    return [token.content for token in cell if token.type == "code_inline"]


def test_settings_are_listed_with_their_defaults() -> None:
    listed = {codes(row[0])[0]: codes(row[1])[0] for row in rows_of(DOCS / "settings.md")}
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}

    assert listed.keys() == defaults.keys()
    for name, text in listed.items():
        assert _value(text) == defaults[name], name


def _value(text: str) -> object:
    number, _, unit = text.partition(" ")
    return int(number) * 1024 * 1024 if unit == "MiB" else ast.literal_eval(number)


def test_layers_are_those_of_the_contract() -> None:
    contract = PYPROJECT["tool"]["importlinter"]["contracts"][0]
    assert contract["type"] == "layers"
    layers = [re.findall(r"aioinformers\.(\w+)", row) for row in contract["layers"]]
    drawn = [codes(row[0]) for row in rows_of(DOCS / "architecture.md")]

    assert drawn[: len(layers)] == layers


def test_every_public_name_is_in_the_reference() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in aioinformers.__all__:
        assert re.search(rf"\baioinformers\.{name}\b", text), name


def test_every_error_is_explained() -> None:
    explained = {code for row in rows_of(DOCS / "errors.md") for code in codes(row[0])}
    assert explained == set(errors.__all__)


def test_every_guarantee_is_described_and_tested_or_said_to_be_under_way() -> None:
    text = (DOCS / "guarantees.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^## G(\d+) ", text, re.MULTILINE)]
    assert numbers == list(range(1, 17))
    tested = {
        int(n)
        for path in (ROOT / "tests").rglob("test_*.py")
        for n in re.findall(r"def test_g(\d+)_", path.read_text(encoding="utf-8"))
    }
    for number, section in zip(numbers, re.split(r"^## G\d+ ", text, flags=re.MULTILINE)[1:], strict=True):
        assert number in tested or "Under way:" in section, f"G{number}"


def test_supported_versions_are_those_of_the_package() -> None:
    versions = [c.rpartition(" ")[2] for c in PYPROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{versions[0]}–{versions[-1]}" in text
    assert f"## [{PYPROJECT['project']['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# -- the pages are built --------------------------------------------------------------------------------------


def test_pages_are_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", str(tmp_path / "trees")]
    built = subprocess.run(
        [*command, str(DOCS), str(tmp_path / "html")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "html" / "api.html").read_text(encoding="utf-8")
    for name in (*errors.__all__, *testing.__all__):
        assert f'.{name}"' in reference, name
