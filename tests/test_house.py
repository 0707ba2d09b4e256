"""The house is in order: a test module for each module, none too long, and nobody reads what is another's own."""

from __future__ import annotations

import ast
import functools
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "aioinformers"
TESTS = ROOT / "tests"

MODULES = sorted(PACKAGE.rglob("*.py"))
RESOURCES = PACKAGE / "resources"
"""Generated, all but a few; ``tests/test_resources.py`` is about the catalogue as a whole."""
WRITTEN = [path for path in MODULES if "Generated from" not in path.read_text(encoding="utf-8")[:300]]
FOLDERS = [path for path in PACKAGE.rglob("*") if path.is_dir() and list(path.glob("*.py"))]

LINES_OF_A_FILE = 500
LINES_OF_A_FUNCTION = 60
LINES_OF_THE_MEDIAN = 250

LOOPS_AND_SOCKETS = {"asyncio", "socket", "aiohttp", "kubernetes_asyncio"}

OF_NAMED_TUPLES = {"_replace", "_fields"}
"""Public methods whose names begin with an underscore so that no field has them."""

FOREIGN = {
    ("objects/lazy", "sys._is_gil_enabled"): "the documented name, from Python 3.13 on",
    ("checks", "function._is_coroutine"): "what unittest.mock marks async functions with",
    ("transport/adapter", "rest._create_pool_manager"): "kubernetes.aio has no public way to its session",
    ("transport/adapter", "session._middlewares"): "those of a request replace them, and they have no other name",
    ("transport/apart", "connector._ssl"): "aiohttp says nowhere else with which TLS settings connections are made",
    ("transport/apart", "current._middlewares"): "nor which middlewares a session has",
    ("coordination/watchdog", "sys._current_frames"): "the documented name",
    ("coordination/watchdog", "os._exit"): "the documented name",
    ("controllers/run", "os._exit"): "the documented name of what ends a process at once",
    ("transport/adapter", "connector._acquired"): "aiohttp says nowhere else how many connections are in use",
    ("transport/client", "connector._acquired"): "aiohttp says nowhere else whether a response is open",
}
"""Underscore names that another module or package has made, and why they are used nevertheless."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


# -- the map of tests ---------------------------------------------------------------------------------------------


def home_of_tests(path: Path) -> Path:
    """Return where the tests of a module are."""
    within = path.relative_to(PACKAGE)
    return TESTS / within.with_name(f"test_{within.name}")


def test_every_module_has_its_test_module() -> None:
    """Those that hold nothing but names have none, and the catalogue of built-in kinds has one."""
    tested = [path for path in MODULES if not path.name.startswith("__") and RESOURCES not in path.parents]
    missing = [str(home_of_tests(path).relative_to(ROOT)) for path in tested if not home_of_tests(path).is_file()]
    assert not missing, f"create {', '.join(missing)}"
    assert (TESTS / "test_resources.py").is_file()


def test_no_test_module_in_a_package_is_about_nothing() -> None:
    """A module that has moved takes its tests along."""
    folders = [(folder, TESTS / folder.relative_to(PACKAGE)) for folder in FOLDERS if folder != PACKAGE]
    found = [(folder, path) for folder, tests in folders for path in tests.glob("test_*.py")]
    assert len(found) > 40
    left = [path for folder, path in found if not (folder / path.name.removeprefix("test_")).is_file()]
    assert not left, f"there are no modules for {', '.join(str(path.relative_to(ROOT)) for path in left)}"


# -- caps ---------------------------------------------------------------------------------------------------------


def docstring_lines(tree: ast.Module) -> int:
    """Return how many lines docstrings take."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    return sum(
        (statement.end_lineno or 0) - statement.lineno + 1
        for statement in first
        if isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def lines_of(path: Path) -> int:
    """Return the length of a file without its docstrings."""
    return path.read_text(encoding="utf-8").count("\n") - docstring_lines(tree_of(path))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_and_no_function_is_too_long() -> None:
    files = [f"{path.relative_to(ROOT)}: {count}" for path in WRITTEN if (count := lines_of(path)) > LINES_OF_A_FILE]
    assert not files, f"more than {LINES_OF_A_FILE} lines without docstrings: {files}"
    functions = [
        f"{place(path, node)} {node.name}: {count}"
        for path in WRITTEN
        for node in functions_of(path)
        if (count := (node.end_lineno or 0) - node.lineno) > LINES_OF_A_FUNCTION
    ]
    assert not functions, f"more than {LINES_OF_A_FUNCTION} lines: {functions}"


def test_most_files_are_short() -> None:
    assert statistics.median(map(lines_of, WRITTEN)) <= LINES_OF_THE_MEDIAN


# -- what modules may know ----------------------------------------------------------------------------------------


def says_pure(path: Path) -> bool:
    first = (ast.get_docstring(tree_of(path)) or "").split("\n\n")[0]
    return re.search(r"\bPure\b", first) is not None


def imports_of(path: Path) -> set[str]:
    """Return the top packages that a module imports, wherever it does."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_modules_that_say_so_are_pure() -> None:
    """They are tested without a loop and without a socket; a lock is neither, so they may import threading."""
    pure = [path for path in MODULES if says_pure(path)]
    assert len(pure) > 10
    impure = {name_of(path): known for path in pure if (known := imports_of(path) & LOOPS_AND_SOCKETS)}
    assert impure == {}


def own_names(tree: ast.Module) -> set[str]:
    """Return the underscore names that a module defines: attributes set on ``self``, fields, functions, slots."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id="__slots__")]):
                found |= {str(each.value) for each in ast.walk(node.value) if isinstance(each, ast.Constant)}
    return {name for name in found if is_private(name)}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def foreign_reads(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each underscore name that another module, or another package, has made."""
    tree = tree_of(path)
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls", "super()") and node.attr not in OF_NAMED_TUPLES:
                yield place(path, node), f"{owner.rpartition('.')[2]}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aioinformers"):
            for alias in node.names:
                if is_private(alias.name):
                    yield place(path, node), f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr"):
            match node.args:
                case [owner_node, ast.Constant(value=str(name)), *_] if is_private(name) and name not in own:
                    yield place(path, node), f"{ast.unparse(owner_node).rpartition('.')[2]}.{name}"


def test_no_module_reads_what_is_another_modules_own() -> None:
    """What others need has a public name; what has none is used in few places, each with its reason."""
    read = {(name_of(path), text): where for path in MODULES for where, text in foreign_reads(path)}
    found = {f"{where} {text}" for (name, text), where in read.items() if (name, text) not in FOREIGN}
    assert not found
    assert not FOREIGN.keys() - read.keys(), "no longer read: take it out of the table"
