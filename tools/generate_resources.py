"""Generates ``aioinformers/resources/`` and ``docs/resources.md`` from the installed kubernetes_asyncio.

``python tools/generate_resources.py`` writes the files, ``--print`` shows them instead, ``--check`` fails if those in
the repository differ. ``_accessor.py`` and ``_catalogue.py`` in the same package are written by hand and left alone.

Kinds come from the client's API classes: a method that lists and knows ``watch`` names its URL, and with that group,
version, plural and scope, and the model that it returns. Kinds that the client does not have, most of them removed from
Kubernetes, come from ``further_kinds.txt`` beside this file.

With ``--schema``, all this is about ``aioinformers/testing/apiserver/schemas.json`` instead, the table of how lists and
maps are merged: ``schemas.py`` beside this file reads it from a real API server, or from a folder of its documents.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version as installed_version
from itertools import groupby
from pathlib import Path

from kubernetes_asyncio.client import api, models

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "aioinformers" / "resources"
PAGE = ROOT / "docs" / "resources.md"
SCHEMAS = ROOT / "aioinformers" / "testing" / "apiserver" / "schemas.json"
FURTHER = Path(__file__).with_name("further_kinds.txt")
MARK = "by ``tools/generate_resources.py``: change that, not this file."
CLIENT = installed_version("kubernetes_asyncio").partition(".")[0]

DESCRIPTIONS = {
    "admissionregistration": "Webhooks and policies that judge requests to the API server.",
    "apiextensions": "Definitions of custom resources.",
    "apiregistration": "API servers that serve a group behind the main one.",
    "apps": "Workloads that are kept running, and their revisions.",
    "auditregistration": "Receivers of audit events.",
    "autoscaling": "Scaling of workloads.",
    "batch": "Workloads that end.",
    "certificates": "Requests for certificates, and bundles of trust anchors.",
    "coordination": "Leases, and candidates for leadership.",
    "core": "The core group: Pods, Services, ConfigMaps, Namespaces, Nodes, ...",
    "discovery": "Endpoints of Services.",
    "events": "Events, in their newer form.",
    "extensions": "What later moved to ``apps``, ``networking.k8s.io`` and ``policy``.",
    "flowcontrol": "Fair shares of the API server's capacity.",
    "internal": "What the API servers of one cluster tell each other.",
    "lifecycle": "Evictions as objects.",
    "networking": "Ingresses, network policies and addresses of Services.",
    "node": "Container runtimes.",
    "policy": "Disruption budgets, and what Pods were allowed to do.",
    "rbac": "Roles and who has them.",
    "resource": "Devices and claims to them (dynamic resource allocation).",
    "scheduling": "Priorities, and Pods that are scheduled together.",
    "settings": "Pod presets.",
    "storage": "Storage classes, drivers and attachments.",
    "storagemigration": "Rewrites of stored objects in a newer version.",
}

NOTES = {
    ("core", "v1", "componentstatuses"): "cannot be watched: the informer lists them now and then",
}


@dataclass(frozen=True)
class Kind:
    """One list-able kind: a line in its module and a row on the page."""

    group: str
    version: str
    plural: str
    kind: str
    model: str | None
    is_namespaced: bool
    served: str = ""

    @property
    def attribute(self) -> str:
        """The group's attribute and module: client-go's name of it."""
        return self.group.partition(".")[0] or "core"

    @property
    def class_name(self) -> str:
        """The name of its version's class."""
        return f"{self.attribute.capitalize()}{self.version.capitalize()}"

    @property
    def api_version(self) -> str:
        """Group and version as objects name them."""
        return f"{self.group}/{self.version}".lstrip("/")

    def order(self) -> tuple[object, ...]:
        """Groups by name; versions as servers order them: stable, beta, alpha, newer ones first; kinds by plural."""
        major, stage, minor = re.fullmatch(r"v(\d+)(alpha|beta)?(\d*)", self.version).groups()  # type: ignore[union-attr]
        maturity = (None, "beta", "alpha").index(stage)
        return self.attribute, maturity, -int(major), -int(minor or 0), self.plural


# -- input ----------------------------------------------------------------------------------------------------


_METHOD = re.compile(r"^    def list_\w+_with_http_info\(.*?(?=^    def |\Z)", re.DOTALL | re.MULTILINE)
_PATH = re.compile(
    r"'/(?:api|apis/(?P<group>[\w.]+))/(?P<version>v\w+)/(?P<scope>namespaces/\{namespace\}/)?(?P<plural>\w+)', 'GET'"
)
_DESCRIPTION = re.compile(r"list (?:or watch )?objects of kind (?P<kind>\w+)")
_RETURNS = re.compile(r":rtype: tuple\((?P<list>\w+),")


def client_kinds() -> dict[tuple[str, str, str], Kind]:
    """Return what the client can list and watch, by group, version and plural."""
    found: dict[tuple[str, str, str], Kind] = {}
    for text in api_modules():
        for method in _METHOD.findall(text):
            url = _PATH.search(method)
            if url is None or ":param watch:" not in method:  # the URLs of custom objects have more placeholders
                continue
            kind, returns = _DESCRIPTION.search(method), _RETURNS.search(method)
            assert kind is not None, f"no kind in the documentation of the method for {url[0]}"
            assert returns is not None, f"no type in the documentation of the method for {url[0]}"
            key = (url["group"] or "", url["version"], url["plural"])
            known = found.get(key)
            namespaced = bool(url["scope"]) or (known is not None and known.is_namespaced)
            found[key] = Kind(*key, kind["kind"], item_model(returns["list"]), namespaced)
    return found


def api_modules() -> Iterator[str]:
    """Return the source of each API class; files of the package that it does not export are leftovers."""
    for name in sorted({exported.__module__ for exported in vars(api).values() if isinstance(exported, type)}):
        yield inspect.getsource(sys.modules[name])


def item_model(list_model: str) -> str:
    """Return the model of a list's items; its name need not follow from the list's: ``ResourceV1ResourceClaim``."""
    items: str = getattr(models, list_model).openapi_types["items"]
    return items.removeprefix("list[").removesuffix("]")


def further_kinds() -> Iterator[Kind]:
    """Return the rows of the hand-written table."""
    for line in FURTHER.read_text().splitlines():
        if line and not line.startswith("#"):
            api_version, plural, kind, scope, word, release = line.split()
            assert (scope in ("namespaced", "cluster"), word in ("removed", "since")) == (True, True), line
            group, _, version = api_version.rpartition("/")
            served = f"removed in {release}" if word == "removed" else f"since {release}"
            yield Kind(group, version, plural, kind, None, scope == "namespaced", served)


def all_kinds() -> list[Kind]:
    """Return both, the client's kinds first choice, in the order in which they are written."""
    found = client_kinds()
    for further in further_kinds():
        key = (further.group, further.version, further.plural)
        known = found.get(key, further)
        assert (known.kind, known.is_namespaced) == (further.kind, further.is_namespaced), f"{known} but {further}"
        found[key] = replace(known, served=further.served)
    named = [kind.model for kind in found.values() if kind.model]
    assert len(named) == len(set(named)), "two kinds have the same model: which of them is informer_for's?"
    return sorted(found.values(), key=Kind.order)


# -- modules --------------------------------------------------------------------------------------------------


def module_of(kinds: list[Kind]) -> str:
    """Return the module of one group."""
    attribute, group = kinds[0].attribute, kinds[0].group
    versions = {kind.version: kind.class_name for kind in kinds}
    classes = [attribute.capitalize(), *versions.values()]
    has_dicts = any(kind.model is None for kind in kinds)
    exported = "\n".join(f'    "{name}",' for name in sorted(classes))
    lines = [
        f'"""{title(attribute, group)}: {DESCRIPTIONS[attribute]}', "", generated_by(), '"""', "",
        "from __future__ import annotations", "",
        *model_imports([kind.model for kind in kinds if kind.model], has_dicts=has_dicts),
        f"__all__ = [\n{exported}\n]" if len(classes) > 1 else f"__all__ = {classes}",
    ]  # fmt: skip
    for _, of_version in groupby(kinds, lambda kind: kind.version):
        lines += ["", "", *version_class(list(of_version))]
    made = f"({', '.join(versions.values())}{',' if len(versions) == 1 else ''})"
    lines += [
        "", "",
        *wrapped(f"class {attribute.capitalize()}(", ["Group", f"versions={made}"], "):"),
        f'    """The versions of {title(attribute, group)}."""', "",
        *(f"    {version}: {name}" for version, name in versions.items()), "",
    ]  # fmt: skip
    return "\n".join(lines)


def title(attribute: str, group: str) -> str:
    """Return how a docstring names a group."""
    return f"``{group}``" if group else f"``{attribute}``"


def generated_by() -> str:
    """Return the line that keeps people from editing what is generated."""
    return f"Generated from kubernetes_asyncio {CLIENT} {MARK}"


def model_imports(named: list[str], *, has_dicts: bool) -> list[str]:
    """Return a module's imports: models are named in annotations only, nothing imports the client at runtime."""
    names = [*(["TYPE_CHECKING"] if named else []), *(["Any"] if has_dicts else [])]
    lines = [
        f"from typing import {', '.join(names)}", "",
        "from aioinformers.resources._accessor import Accessor, Group, Version", "",
    ]  # fmt: skip
    if named:
        named = sorted(named, key=str.lower)  # as ruff sorts imports
        one_line = f"    from kubernetes_asyncio.client import {', '.join(named)}"
        listed = [one_line]
        if len(one_line) > 120:
            listed = [
                "    from kubernetes_asyncio.client import (",
                *(f"        {model}," for model in named),
                "    )",
            ]
        lines += ["if TYPE_CHECKING:", *listed, ""]
    return lines


def version_class(kinds: list[Kind]) -> list[str]:
    """Return the class of one group's version: one line per kind."""
    first = kinds[0]
    arguments = ["Version", f'group="{first.group}"', f'version="{first.version}"']
    if cluster := [f'"{kind.plural}"' for kind in kinds if not kind.is_namespaced]:
        arguments.append("\n    ".join(wrapped("cluster_scoped={", cluster, "}", indent=4)))
    if untyped := [f'"{kind.plural}": "{kind.kind}"' for kind in kinds if kind.model is None]:
        arguments.append("\n    ".join(wrapped("untyped={", untyped, "}", indent=4)))
    return [
        *wrapped(f"class {first.class_name}(", arguments, "):"), f'    """``{first.api_version}``."""', "",
        *(f"    {kind.plural}: Accessor[{kind.model or 'dict[str, Any]'}]" for kind in kinds),
    ]  # fmt: skip


def wrapped(opening: str, items: list[str], closing: str, *, indent: int = 0) -> list[str]:
    """Return items in brackets on one line or, if that is too long, on a line each, as the formatter wants them."""
    line = f"{opening}{', '.join(items)}{closing}"
    if "\n" not in line and indent + len(line) + len(",") <= 120:
        return [line]
    return [opening, *(f"    {item}," for item in items), closing]


def root(kinds: list[Kind]) -> str:
    """Return the package's ``__init__``: the groups as attributes, and how to find a kind."""
    groups = {kind.attribute: kind.group for kind in kinds}
    properties = []
    for attribute in groups:
        name, what = attribute.capitalize(), DESCRIPTIONS[attribute]
        properties += [
            "", "    @cached_property", f"    def {attribute}(self) -> {name}:", f'        """{what}"""',
            f"        from aioinformers.resources.{attribute} import {name}", "",
            f"        return {name}(self._make)",
        ]  # fmt: skip
    return ROOT_TEMPLATE.format(
        generated_by=generated_by(),
        client=CLIENT,
        imports="\n".join(f"    from aioinformers.resources.{name} import {name.capitalize()}" for name in groups),
        modules="\n".join(f'    "{group}": "{name}",' for name, group in groups.items()),
        properties="\n".join(properties),
    )


ROOT_TEMPLATE = '''\
"""The built-in kinds: one module per group, one class per version, one line per kind.

{generated_by}
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, InformerMaker, Kind, Version, attribute_of
from aioinformers.resources._catalogue import Catalogue
from aioinformers.types import GroupVersionResource

if TYPE_CHECKING:
{imports}

__all__ = [
    "CLIENT_VERSION",
    "GROUPS",
    "Accessor",
    "Group",
    "Groups",
    "InformerMaker",
    "Kind",
    "Version",
    "attribute_of",
    "kind_of_model",
    "kind_of_resource",
    "kinds",
    "kinds_called",
    "kinds_of_group",
]

CLIENT_VERSION = {client}
"""The major version of kubernetes_asyncio whose kinds these are."""

GROUPS = {{
{modules}
}}
"""The attribute and module of each API group."""

_catalogue = Catalogue(__name__, GROUPS)
kinds: Callable[[], list[Kind]] = _catalogue.kinds
kind_of_model: Callable[[type], Kind] = _catalogue.kind_of_model
kind_of_resource: Callable[[GroupVersionResource], Kind | None] = _catalogue.kind_of_resource
kinds_called: Callable[[str], list[Kind]] = _catalogue.kinds_called
kinds_of_group: Callable[[str], list[Kind]] = _catalogue.kinds_of_group


class Groups:
    """The API groups as attributes; a factory inherits them. A group's module is imported when it is first asked for.

    Args:
        make: Gives accessors their informers.
    """

    def __init__(self, make: InformerMaker) -> None:
        self._make = make

    if not TYPE_CHECKING:  # type checkers know which attributes there are

        def __getattr__(self, name: str) -> Any:
            others = [each for each in dir(type(self)) if not each.startswith("_")]
            raise AttributeError(f"the factory has no {{name!r}}: {{_catalogue.missing(name, others)}}")
{properties}
'''


# -- page -----------------------------------------------------------------------------------------------------


def page(kinds: list[Kind]) -> str:
    """Return the page that lists every kind."""
    typed = sum(kind.model is not None for kind in kinds)
    text = PAGE_TEMPLATE.format(
        client=CLIENT, kinds=len(kinds), typed=typed, dicts=len(kinds) - typed,
        groups=len({kind.group for kind in kinds}), versions=len({kind.api_version for kind in kinds}),
    )  # fmt: skip
    for attribute, of_group in groupby(kinds, lambda kind: kind.attribute):
        rows = list(of_group)
        text += f"\n## {rows[0].group or 'core'}\n\n{DESCRIPTIONS[attribute].replace('``', '`')}\n\n"
        text += "| accessor | kind | objects | namespaced | served |\n|---|---|---|---|---|\n"
        text += "".join(map(page_row, rows))
    return text


def page_row(kind: Kind) -> str:
    """Return a kind's row."""
    note = "; ".join(filter(None, [kind.served, NOTES.get((kind.attribute, kind.version, kind.plural))]))
    cells = [
        f"`{kind.attribute}.{kind.version}.{kind.plural}`", kind.kind, f"`{kind.model or 'dict'}`",
        "yes" if kind.is_namespaced else "no", note,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |\n".replace("|  |", "| |")


PAGE_TEMPLATE = """\
<!-- Generated by tools/generate_resources.py: change that, not this page. -->

# Resources

Every kind below is an attribute of a factory, `factory.<group>.<version>.<plural>`; calling it gives the informer:

```python
deployments = factory.apps.v1.deployments(namespace="prod")
policies = factory.networking.v1.networkpolicies()
```

There are {kinds} kinds in {versions} versions of {groups} groups. {typed} of them are those that
kubernetes_asyncio {client} can list and watch: their objects are its models. The client has no models of the {dicts}
others: most were removed from Kubernetes, and are here for clusters that still serve them. Their objects are dicts.

A kind that the server does not serve keeps its informer waiting, with the reason in `health()`; the others are not
affected, but `wait_for_cache_sync` waits for it unless it is `optional=True`. Kinds marked *since* are newer than the
client; once it has a model for one, that becomes the default here: ask for `object_type=dict` to stay with dicts.

Custom resources, and anything else that is not listed here: `factory.for_resource("widgets.v1.example.com")`.
"""


# -- command line ---------------------------------------------------------------------------------------------


def outputs() -> dict[Path, str]:
    """Return the text of each generated file."""
    kinds = all_kinds()
    files = {PACKAGE / "__init__.py": root(kinds), PAGE: page(kinds)}
    for attribute, of_group in groupby(kinds, lambda kind: kind.attribute):
        files[PACKAGE / f"{attribute}.py"] = module_of(list(of_group))
    return files


def schema_outputs(folder: str) -> dict[Path, str]:
    """Return the text of the table of schemas: from a folder of documents, or from a real server if there is none."""
    sys.path.insert(0, str(ROOT))  # of the tests, which start servers
    import schemas

    documents = schemas.documents_in(Path(folder)) if folder else schemas.documents_of_a_server()
    return {SCHEMAS: schemas.table_of(documents)}


def strays(files: Iterable[Path]) -> list[Path]:
    """Return modules in the package that have been generated for a group that is no more."""
    return [path for path in sorted(PACKAGE.glob("*.py")) if path not in files and MARK in path.read_text()]


def check(files: dict[Path, str]) -> int:
    """Tell what differs from the files in the repository; 1 if anything does."""
    stray = [] if SCHEMAS in files else strays(files)
    drift = [f"{path.relative_to(ROOT)}: no longer generated, to be deleted" for path in stray]
    for path, text in files.items():
        there = path.read_text() if path.exists() else ""
        if there != text:
            diff = difflib.unified_diff(there.splitlines(), text.splitlines(), "checked in", "generated", "", "", 0, "")
            drift.append(f"{path.relative_to(ROOT)} differs:\n" + "\n".join(f"    {line}" for line in diff))
    if not drift:
        return 0
    print("\n".join(drift), file=sys.stderr)
    print(
        f"\nThese are not what kubernetes_asyncio {CLIENT}, which is installed, and {FURTHER.name} give:\n"
        f"run `python tools/generate_resources.py` and check the result in.",
        file=sys.stderr,
    )
    return 1


def main() -> int:
    """Write, print or check the generated files; exit code 1 if a check fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    mode.add_argument("--print", action="store_true", help="write nothing; show the files")
    parser.add_argument(
        "--schema", nargs="?", const="", metavar="FOLDER",
        help="the table of schemas instead, from a real API server or from the documents in a folder",
    )  # fmt: skip
    arguments = parser.parse_args()
    files = outputs() if arguments.schema is None else schema_outputs(arguments.schema)
    if arguments.check:
        return check(files)
    if arguments.print:
        print("\n".join(f"# {path.relative_to(ROOT)}\n{text}" for path, text in files.items()))
        return 0
    for path in [] if SCHEMAS in files else strays(files):
        path.unlink()
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
