"""The catalogue of built-in kinds: complete, right, and free of clashes."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, SharedInformerFactory, resources
from aioinformers.options import InformerOptions
from aioinformers.resources import Accessor, Group, Groups, Kind, Version, kind_of_model, kind_of_resource, kinds

ROOT = Path(__file__).resolve().parent.parent
CLIENT = int(client.__version__.partition(".")[0])

same_client = pytest.mark.skipif(
    CLIENT != resources.CLIENT_VERSION,
    reason=f"the catalogue is that of kubernetes_asyncio {resources.CLIENT_VERSION}, installed is {CLIENT}",
)

# What the project promises by name.
GROUPS = (
    "admissionregistration apiextensions apiregistration apps auditregistration autoscaling batch certificates "
    "coordination core discovery events extensions flowcontrol internal networking node policy rbac resource "
    "scheduling settings storage storagemigration"
)

REMOVED = {
    "admissionregistration.v1beta1": "mutatingwebhookconfigurations validatingwebhookconfigurations",
    "apiextensions.v1beta1": "customresourcedefinitions",
    "apiregistration.v1beta1": "apiservices",
    "apps.v1beta1": "controllerrevisions deployments statefulsets",
    "apps.v1beta2": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "auditregistration.v1alpha1": "auditsinks",
    "autoscaling.v2beta1": "horizontalpodautoscalers",
    "autoscaling.v2beta2": "horizontalpodautoscalers",
    "batch.v1beta1": "cronjobs",
    "batch.v2alpha1": "cronjobs",
    "certificates.v1beta1": "certificatesigningrequests",
    "coordination.v1beta1": "leases",
    "discovery.v1beta1": "endpointslices",
    "events.v1beta1": "events",
    "extensions.v1beta1": "daemonsets deployments ingresses networkpolicies podsecuritypolicies replicasets",
    "flowcontrol.v1alpha1": "flowschemas prioritylevelconfigurations",
    "flowcontrol.v1beta1": "flowschemas prioritylevelconfigurations",
    "flowcontrol.v1beta2": "flowschemas prioritylevelconfigurations",
    "flowcontrol.v1beta3": "flowschemas prioritylevelconfigurations",
    "networking.v1beta1": "ingressclasses ingresses",
    "node.v1alpha1": "runtimeclasses",
    "node.v1beta1": "runtimeclasses",
    "policy.v1beta1": "poddisruptionbudgets podsecuritypolicies",
    "rbac.v1alpha1": "clusterrolebindings clusterroles rolebindings roles",
    "rbac.v1beta1": "clusterrolebindings clusterroles rolebindings roles",
    "resource.v1alpha2": "podschedulingcontexts resourceclaims resourceclaimtemplates resourceclasses resourceslices",
    "resource.v1alpha3": "deviceclasses resourceclaims resourceclaimtemplates resourceslices",
    "scheduling.v1alpha1": "priorityclasses",
    "scheduling.v1beta1": "priorityclasses",
    "settings.v1alpha1": "podpresets",
    "storage.v1alpha1": "volumeattachments",
    "storage.v1beta1": "csidrivers csinodes storageclasses volumeattachments",
}


def asked(kind: Kind, object_type: Any, options: InformerOptions) -> Any:
    """Stand for a factory: give what an accessor asks it for."""
    return kind, object_type, options


groups = Groups(asked)


def accessor_of(path: str) -> Accessor[Any]:
    """Return the accessor at ``group.version.plural``, attribute by attribute."""
    found: Any = groups
    for name in path.split("."):
        found = getattr(found, name)
    assert isinstance(found, Accessor)
    return found


def path_of(kind: Kind) -> str:
    return f"{resources.GROUPS[kind.resource.group]}.{kind.resource.version}.{kind.resource.resource}"


# -- against the client ---------------------------------------------------------------------------------------


class Call(NamedTuple):
    """What a method of the client would request, and as what it would read the answer."""

    method: str
    kind: str
    path: str
    item: str


class Recorder:
    """An API client that makes no requests."""

    client_side_validation = True

    def __init__(self) -> None:
        self.path = self.list_model = ""

    def select_header_accept(self, accepts: list[str]) -> str:
        return accepts[0]

    def call_api(self, path: str, verb: str, *_: Any, response_types_map: dict[int, str | None], **__: Any) -> None:
        assert verb == "GET"
        self.path, self.list_model = path, str(response_types_map[200])


def watchable_calls() -> Iterator[Call]:
    """Call every method of the client that can list and watch."""
    classes: list[tuple[str, Any]] = inspect.getmembers(client, inspect.isclass)
    for name, api_class in classes:
        if not name.endswith("Api") or name == "CustomObjectsApi":
            continue
        recorder = Recorder()
        api: Any = api_class(recorder)
        for method_name, method in inspect.getmembers(api, inspect.ismethod):
            if not method_name.startswith("list_") or method_name.endswith("_with_http_info"):
                continue
            documentation = method.__doc__ or ""
            if ":param watch:" in documentation:
                method(*(["{namespace}"] if "namespaced" in method_name else []))
                items = getattr(client, recorder.list_model).openapi_types["items"]
                kind = documentation.partition("objects of kind ")[2].split()[0]
                yield Call(f"{name}.{method_name}", kind, recorder.path, items[len("list[") : -1])


CALLS = list(watchable_calls())


@same_client
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method)
def test_what_the_client_can_list_and_watch_has_an_accessor(call: Call) -> None:
    prefix, _, plural = call.path.replace("namespaces/{namespace}/", "").rpartition("/")
    _, _, *group, version = prefix.split("/")
    kind = kind_of_resource(GroupVersionResource("".join(group), version, plural))
    assert kind is not None
    assert kind.resource.path == prefix
    assert kind.model == call.item
    assert kind.is_namespaced == any(c.path == f"{prefix}/namespaces/{{namespace}}/{plural}" for c in CALLS)
    assert kind.kind == call.kind

    accessor: Any = accessor_of(path_of(kind))
    assert accessor.kind is kind
    assert accessor(label_selector="a=b") == (kind, None, {"label_selector": "a=b"})


@same_client
def test_models_are_those_of_the_client_and_no_others() -> None:
    named = [kind.model for kind in kinds() if kind.model is not None]
    assert len(CALLS) > 120
    assert sorted(named) == sorted({call.item for call in CALLS})


@same_client
def test_informer_for_finds_every_model() -> None:
    for kind in kinds():
        if kind.model is not None:
            assert kind_of_model(getattr(client, kind.model)) is kind


async def test_informer_for_is_the_accessors_informer() -> None:
    async with client.ApiClient() as api:
        factory = SharedInformerFactory(api)
        assert factory.informer_for(client.V1Pod) is factory.core.v1.pods()
        assert factory.informer_for(client.EventsV1Event) is factory.events.v1.events()
        assert factory.informer_for(client.CoreV1Event) is factory.core.v1.events()
        assert (
            factory.informer_for(client.V2HorizontalPodAutoscaler) is factory.autoscaling.v2.horizontalpodautoscalers()
        )
        assert factory.for_resource("events.v1beta1.events.k8s.io") is factory.events.v1beta1.events()
        with pytest.raises(ValueError, match=r"V1PodSpec is no model of a known kind.*for_resource"):
            factory.informer_for(client.V1PodSpec)


# -- by name --------------------------------------------------------------------------------------------------


def test_groups_carry_the_names_of_client_go() -> None:
    assert set(resources.GROUPS.values()) >= set(GROUPS.split())
    for group, name in resources.GROUPS.items():
        assert name == (group.partition(".")[0] or "core")
        assert isinstance(getattr(groups, name), Group)
        assert inspect.getdoc(getattr(Groups, name))


@pytest.mark.parametrize(
    "path", [f"{version}.{plural}" for version, names in REMOVED.items() for plural in names.split()]
)
def test_what_kubernetes_has_removed_has_an_accessor_with_dicts(path: str) -> None:
    kind = accessor_of(path).kind
    assert kind.model is None
    assert kind.kind.lower()[:-1] in kind.resource.resource
    assert kind_of_resource(kind.resource) is kind


def test_every_version_is_an_attribute_stable_ones_first() -> None:
    for name in resources.GROUPS.values():
        group = getattr(groups, name)
        for version in group.versions:
            assert type(getattr(group, version.version)) is version
            assert version.__name__ == f"{type(group).__name__}{version.version.capitalize()}"
            assert version.kinds()
    assert [version.version for version in groups.flowcontrol.versions] == [
        "v1", "v1beta3", "v1beta2", "v1beta1", "v1alpha1"
    ]  # fmt: skip
    assert [version.version for version in groups.autoscaling.versions] == [
        "v2",
        "v1",
        "v2beta2",
        "v2beta1",
        "v2alpha1",
    ]


def test_no_resource_is_there_twice() -> None:
    assert len({kind.resource for kind in kinds()}) == len(kinds())


def test_what_is_no_built_in_kind_is_unknown() -> None:
    for text in ("widgets.v1.example.com", "pod.v1.", "pods.v2.", "deployments.v1.apps.example.com"):
        assert kind_of_resource(GroupVersionResource.parse(text)) is None


def test_scopes_are_known() -> None:
    cluster = {path_of(kind) for kind in kinds() if not kind.is_namespaced}
    assert {"core.v1.nodes", "rbac.v1.clusterroles", "auditregistration.v1alpha1.auditsinks"} <= cluster
    assert not cluster & {"core.v1.pods", "rbac.v1.roles", "rbac.v1beta1.roles", "extensions.v1beta1.ingresses"}


async def test_a_namespace_is_refused_where_there_are_none() -> None:
    async with client.ApiClient() as api:
        factory = SharedInformerFactory(api, namespace="prod")
        with pytest.raises(ValueError, match="cluster-scoped"):
            factory.core.v1.nodes(namespace="prod")
        with pytest.raises(ValueError, match="cluster-scoped"):
            factory.for_resource("auditsinks.v1alpha1.auditregistration.k8s.io", namespace="prod")
        assert factory.core.v1.nodes().name == "nodes.v1"


# -- clashes --------------------------------------------------------------------------------------------------


async def test_plain_attributes_of_a_factory_are_groups_and_five_more() -> None:
    async with client.ApiClient() as api:
        factory = SharedInformerFactory(api)
        public = {name for name in dir(factory) if not name.startswith("_")}
        methods = {name for name in public if inspect.isfunction(getattr(SharedInformerFactory, name, None))}
        others = public - methods - set(resources.GROUPS.values())
        assert others == {"api_client", "is_closed", "is_started", "name", "namespace"}
        assert not methods & set(resources.GROUPS.values())
        assert all(isinstance(vars(Groups)[name], cached_property) for name in resources.GROUPS.values())


def test_no_version_or_plural_hides_an_attribute() -> None:
    for name in resources.GROUPS.values():
        group = getattr(groups, name)
        assert not {version.version for version in group.versions} & set(dir(Group))
        for version in group.versions:
            assert not version.kinds().keys() & set(dir(Version))
            assert all(plural.isidentifier() for plural in version.kinds())


# -- cost -----------------------------------------------------------------------------------------------------


def test_the_import_loads_neither_the_client_nor_a_group() -> None:
    program = """if True:
        import sys
        import aioinformers
        print(*sorted(m for m in sys.modules if m.startswith(("kubernetes", "aioinformers.resources."))))
        from aioinformers.resources import kinds
        print(len(kinds()), *(m for m in sys.modules if m.startswith("kubernetes")))
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    hand_written = "aioinformers.resources._accessor aioinformers.resources._catalogue"
    assert done.stdout.splitlines() == [hand_written, str(len(kinds()))]


def test_accessors_are_made_once_and_say_what_they_are() -> None:
    assert groups.core is groups.core
    assert groups.core.v1.pods is groups.core.v1.pods
    assert repr(groups.core.v1.pods) == "<Accessor pods.v1>"
    assert repr(groups.apps.v1).startswith("<apps/v1: controllerrevisions, daemonsets, ")
    assert repr(groups.core.v1).startswith("<core/v1: ")


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [("Accessor[Pod]", "Pod is not named as models"), ("int", "pods: int declares no accessor")],
)
def test_a_wrong_declaration_is_a_loud_mistake(annotation: str, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        types.new_class(
            "Wrong",
            (Version,),
            {"group": "", "version": "v1"},
            lambda body: body.update({"__annotations__": {"pods": annotation}}),
        )


# -- the generator --------------------------------------------------------------------------------------------


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "tools" / "generate_resources.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the generator reads and writes."""
    for folder in ("tools", "aioinformers/resources"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "resources.md", tmp_path / "docs")
    return tmp_path


@same_client
def test_what_is_checked_in_is_what_is_generated() -> None:
    done = generate(ROOT, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
@same_client
def test_drift_is_named_and_repaired(copy: Path) -> None:
    package = copy / "aioinformers" / "resources"
    apps, settings = package / "apps.py", package / "settings.py"
    original = apps.read_text()
    apps.write_text(original.replace("    replicasets: Accessor[V1ReplicaSet]\n", ""))
    settings.rename(package / "gone.py")

    check = generate(copy, "--check")
    assert check.returncode == 1
    assert "aioinformers/resources/apps.py differs:" in check.stderr
    assert "+    replicasets: Accessor[V1ReplicaSet]" in check.stderr
    assert "aioinformers/resources/settings.py differs:" in check.stderr
    assert "aioinformers/resources/gone.py: no longer generated" in check.stderr
    assert "run `python tools/generate_resources.py`" in check.stderr

    written = generate(copy)
    assert written.stdout.splitlines() == [
        "wrote aioinformers/resources/apps.py",
        "wrote aioinformers/resources/settings.py",
    ]
    assert apps.read_text() == original
    assert not (package / "gone.py").exists()
    assert generate(copy, "--check").returncode == 0


@same_client
def test_print_shows_the_files_and_writes_none(copy: Path) -> None:
    page = copy / "docs" / "resources.md"
    text = page.read_text()
    page.write_text("changed")
    printed = generate(copy, "--print")
    assert printed.returncode == 0
    assert text in printed.stdout
    assert page.read_text() == "changed"


def test_the_page_lists_every_kind() -> None:
    rows = [line.split(" | ") for line in (ROOT / "docs" / "resources.md").read_text().splitlines() if "| `" in line]
    listed = {cells[0].removeprefix("| ").strip("`"): cells for cells in rows}
    assert listed.keys() == {path_of(kind) for kind in kinds()}
    for kind in kinds():
        _, name, objects, namespaced, *_ = listed[path_of(kind)]
        assert (name, objects.strip("`")) == (kind.kind, kind.model or "dict")
        assert namespaced.startswith("yes" if kind.is_namespaced else "no")
    for path, names in REMOVED.items():
        for plural in names.split():
            assert "removed in 1." in " ".join(listed[f"{path}.{plural}"])
