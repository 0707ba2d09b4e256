"""What can be imported, and what an import costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import math
import os
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from kubernetes_asyncio import client

import aioinformers
from aioinformers import errors
from aioinformers.objects.models import model_decoder
from aioinformers.objects.selectors import parse_label_selector
from aioinformers.resources import GROUPS
from aioinformers.sharding import Shard

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(aioinformers.__path__, "aioinformers.")
    if not module.name.endswith("__main__")
)
PROMISED = {
    "ALL_NAMESPACES", "Added", "ApiStatusError", "BusyKey", "CacheNotSyncedError", "CacheSyncError", "Cause",
    "ConsumerStatistics", "Deleted", "Event", "FactoryHealth", "GroupVersionResource", "Indexer", "InformerClosedError",
    "InformerCrashedError", "InformerError", "InformerHealth", "InformerStatistics", "ListOptions", "Lister",
    "Metadata", "NamespaceLister", "NotFoundError", "ObjectKey", "Registration", "Released", "ScopeHealth", "Settings",
    "SharedInformer", "SharedInformerFactory", "Stream", "Updated", "WatchFailure", "__version__", "drop_fields",
    "errors", "keep_fields", "new_informer", "strip_managed_fields",
}  # fmt: skip
"""Names of the documentation that users import from the package itself."""


def imported(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_what_it_has(name: str) -> None:
    """Every name of its ``__all__``, each once; and every module says what it exports."""
    module = imported(name)
    exported = module.__all__
    assert len(set(exported)) == len(exported)
    assert [export for export in exported if not hasattr(module, export)] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_for(name: str) -> None:
    assert imported(name).__doc__


def test_modules_export_what_others_take_from_them() -> None:
    """What is not exported is nobody else's business."""
    taken = {
        (node.module, alias.name)
        for name in MODULES
        for node in ast.walk(ast.parse(inspect.getsource(imported(name))))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("aioinformers.")
        for alias in node.names
    }
    exported = {(name, export) for name in MODULES for export in imported(name).__all__}
    submodules = {tuple(name.rsplit(".", 1)) for name in MODULES}
    assert sorted({one for one in taken if one[0] in MODULES} - exported - submodules) == []


def test_the_package_exports_what_is_promised() -> None:
    """In order, so that a name is found."""
    assert sorted(aioinformers.__all__) == aioinformers.__all__
    assert set(aioinformers.__all__) >= PROMISED
    assert all(hasattr(aioinformers, name) for name in aioinformers.__all__)


def test_the_package_exports_nothing_by_accident() -> None:
    """Every public name of it is a submodule or is exported."""
    submodules = {name.split(".")[1] for name in MODULES}
    names = {name for name in vars(aioinformers) if name.isidentifier()}  # pytest adds some that are none
    public = {name for name in names if not name.startswith("_")} - submodules - {"annotations"}
    assert public <= set(aioinformers.__all__)


def test_errors_are_one_import_away() -> None:
    """Those that a program catches most are exported at the top; all are in ``errors``."""
    top: dict[str, Any] = {name: getattr(aioinformers, name) for name in aioinformers.__all__}
    assert {name for name, value in top.items() if inspect.isclass(value) and issubclass(value, Exception)} <= set(
        errors.__all__
    )


def test_typed_packages_say_so() -> None:
    assert Path(aioinformers.__file__).with_name("py.typed").is_file()


# -- what users see of objects ------------------------------------------------------------------------------------

PUBLIC = {
    aioinformers.SharedInformer: """
        add_event_handler add_indexers aclose default_registration has_synced health indexer is_compact is_in_use
        is_live is_optional is_running is_watching last_activity last_error last_sync_resource_version lister name
        on_add on_delete on_released on_update remove_event_handler remove_indexer resource resource_versions
        resync_period run set_namespaces statistics stream wait_closed wait_for wait_for_resource_version wait_synced
    """,
    aioinformers.Registration: "aclose has_synced is_closed name statistics wait_synced",
    aioinformers.Stream: "has_synced name statistics wait_synced",
    aioinformers.Lister: "collect get is_partial list namespace",
    aioinformers.NamespaceLister: "collect get is_partial list namespace",
    aioinformers.Indexer: "by_index get index_keys index_values is_partial items keys resource_version values",
    Shard: "by contains from_environment index of range selector",
}


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_objects_show_what_users_need_and_nothing_of_the_engine(cls: type) -> None:
    instance_only = {"namespace"} if cls is aioinformers.NamespaceLister else set()
    assert {name for name in dir(cls) if not name.startswith("_")} | instance_only == set(PUBLIC[cls].split())


async def test_a_factory_shows_its_groups_and_what_users_need() -> None:
    """Plain attributes are API groups; everything else is named here."""
    async with client.ApiClient() as api:
        factory = aioinformers.SharedInformerFactory(api)
        names = {name for name in dir(factory) if not name.startswith("_")}
    methods = """
        add add_event_handler discover for_resource health informer_for measure on_add on_delete on_released
        on_update release resolve shutdown start wait_for_cache_sync wait_live
    """
    assert names - set(GROUPS.values()) == {
        *methods.split(),
        "api_client",
        "is_closed",
        "is_started",
        "name",
        "namespace",
    }


# -- addresses ---------------------------------------------------------------------------------------------------


def addresses_in(value: object) -> set[str]:
    """Return what a pickle of a value names of this package, and check that it can be read."""
    named: set[str] = set()

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            named.add(f"{module}.{name}")
            return super().find_class(module, name)

    Reader(io.BytesIO(pickle.dumps(value))).load()
    return {name for name in named if name.startswith("aioinformers.")}


POD = b'{"metadata":{"name":"p","namespace":"n"},"spec":{"containers":[{"name":"main"}]}}'


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        (model_decoder(client.V1Pod)(POD), {
            "aioinformers.objects.models.restore_lazy", "aioinformers.objects.lazy.Whole",
        }),
        (aioinformers.Added(1), {
            "aioinformers.delivery.events.Added", "aioinformers.types.Cause", "aioinformers.types.ObjectKey",
            "aioinformers.types.GroupVersionResource",
        }),
        (aioinformers.Scope("n"), {"aioinformers.types.Scope"}),
        (aioinformers.NotFoundError("pods.v1", "n/p"), {"aioinformers.errors.NotFoundError"}),
        (aioinformers.BusyKey(aioinformers.ObjectKey("n", "p"), 1.0), {
            "aioinformers.statistics.BusyKey", "aioinformers.types.ObjectKey",
        }),
        (aioinformers.Metadata(metadata=aioinformers.ObjectMeta(name="p")), {
            "aioinformers.objects.metadata.Metadata", "aioinformers.objects.metadata.ObjectMeta",
        }),
        (parse_label_selector("a=b"), {"aioinformers.objects.selectors.parse_label_selector"}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_pickles_hold_addresses_that_stay(value: object, addresses: set[str]) -> None:
    """Another version must find them there: what is moved later leaves its name behind."""
    assert addresses_in(value) == addresses


# -- what an import costs -----------------------------------------------------------------------------------------


def python(code: str, **environment: str) -> str:
    """Run code in an interpreter of its own."""
    command, environ = [sys.executable, "-c", code], os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, env=environ)
    return done.stdout.strip()


def test_importing_the_package_imports_no_client() -> None:
    """The client's own import takes seconds; models are found when they are first used."""
    loaded = python(
        "import aioinformers, aioinformers.resources, sys\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in "
        "('kubernetes_asyncio', 'kubernetes', 'aiohttp', 'pydantic', 'typer', 'rich', 'yaml')))"
    )
    assert loaded == ""


def test_importing_the_package_imports_nothing_of_what_only_some_use() -> None:
    """Nobody who uses informers alone pays for elections or groups of shards; nor do elections load a client."""
    loaded = python(
        "import aioinformers, sys\n"
        "print(*(name for name in sys.modules if name.split('.')[1:2] in (['coordination'], ['sharding'])))\n"
        "import aioinformers.coordination\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in ('kubernetes_asyncio', 'aiohttp')))"
    )
    assert loaded == ""


def cpu_seconds_of_import(module: str, bytecode: Path) -> float:
    """Return the processor time of an import, with bytecode in a folder: an installed package has it from the start."""
    code = f"import time\nbegin = time.process_time()\nimport {module}\nprint(time.process_time() - begin)"
    return float(python(code, PYTHONPYCACHEPREFIX=str(bytecode), PYTHONDONTWRITEBYTECODE=""))


@pytest.mark.slow
def test_importing_the_package_takes_hardly_longer_than_aiohttp(tmp_path: Path) -> None:
    """At most 100 ms more: every user has paid for aiohttp already. The best of several, taken by turns."""
    ours = aiohttps = math.inf
    for turn in range(15):
        ours = min(ours, cpu_seconds_of_import("aioinformers", tmp_path))
        aiohttps = min(aiohttps, cpu_seconds_of_import("aiohttp", tmp_path))
        if turn >= 4 and ours <= aiohttps + 0.1:
            return
    assert ours <= aiohttps + 0.1
