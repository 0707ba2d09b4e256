"""The resources that the embedded server serves, with their properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aioinformers.checks import near, shown
from aioinformers.resources import Kind, kind_of_model, kinds_called
from aioinformers.types import GroupVersionResource, is_version

__all__ = ["CRD", "DEFAULT_RESOURCES", "Resource", "ResourceName", "Resources", "ScalePaths", "resource_of_crd"]

_RBAC = "rbac.authorization.k8s.io"

ResourceName: TypeAlias = GroupVersionResource | str | type
"""What a resource is named by: GVR, plural, singular, short name or kind, each with or without group, or a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePaths:
    """Where the objects of a resource keep what their ``/scale`` subresource shows.

    Attributes:
        replicas: Path of the number of replicas that there are to be, such as ``.spec.replicas``.
        status_replicas: Path of the number that there are.
        selector: Path of the label selector of the replicas; ``""`` for none. Custom objects have it as a text.
    """

    replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    selector: str = ""

    def __post_init__(self) -> None:
        for name in ("replicas", "status_replicas", "selector"):
            path = getattr(self, name)
            if not isinstance(path, str):
                raise TypeError(f"ScalePaths({name}=) must be a path such as '.spec.replicas', not {shown(path)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource that the server serves.

    Attributes:
        gvr: Group, version and plural.
        kind: Kind of its objects.
        namespaced: Whether its objects are in namespaces.
        short_names: Short names, as in kubectl.
        status: Whether it has a ``/status`` subresource; other writes then do not change the status.
        generation: Whether ``metadata.generation`` counts changes of an object's content.
        custom: Whether it comes from a CustomResourceDefinition: its objects are encoded with sorted keys, and list
            items have a kind.
        selectable: Fields that field selectors may name, of a custom resource.
        scale: What its ``/scale`` subresource shows; None if it has none.
        schema: The OpenAPI schema of a custom resource's objects, which says how lists and maps are merged; None if it
            has none.

    Raises:
        TypeError: If a name is no text.
        ValueError: If a name is empty.
    """

    gvr: GroupVersionResource
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    status: bool = False
    generation: bool = False
    custom: bool = False
    selectable: tuple[str, ...] = ()
    scale: ScalePaths | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.gvr, GroupVersionResource):
            raise TypeError(f"Resource(gvr=) must be a GroupVersionResource, not {shown(self.gvr)}")
        if isinstance(self.short_names, str):
            raise TypeError(f"short names are several: write ({self.short_names!r},)")
        for name in (self.kind, *self.short_names):
            if not isinstance(name, str):
                raise TypeError(f"kind and short names of {self.gvr} must be texts, not {shown(name)}")
        if not self.kind:
            raise ValueError(f"{self.gvr} needs a kind, such as 'Widget'")
        if self.scale is not None and not isinstance(self.scale, ScalePaths):
            raise TypeError(f"Resource(scale=) of {self.gvr} must be a ScalePaths or None, not {shown(self.scale)}")
        if self.schema is not None and not isinstance(self.schema, Mapping):
            raise TypeError(
                f"Resource(schema=) of {self.gvr} must be an OpenAPI schema as a dict or None, not {shown(self.schema)}"
            )

    @property
    def singular(self) -> str:
        """The singular name."""
        return self.kind.lower()

    @property
    def upserts(self) -> bool:
        """Whether a PUT creates an object that is not there."""
        return not self.custom and (self.gvr.group, self.gvr.resource) in _UPSERTED

    @property
    def returned(self) -> bool:
        """Whether a deletion is answered with the object, and not with a ``Status``."""
        return not self.custom and (self.gvr.group, self.gvr.resource) in _RETURNED

    @property
    def guarded(self) -> bool:
        """Whether a PUT needs a resourceVersion."""
        return self.custom or (self.gvr.group, self.gvr.resource) in _GUARDED

    @property
    def group_resource(self) -> str:
        """The resource as in the server's messages: ``deployments.apps``."""
        return f"{self.gvr.resource}.{self.gvr.group}".rstrip(".")

    @property
    def group_kind(self) -> str:
        """The kind as in the server's messages: ``Deployment.apps``."""
        return f"{self.kind}.{self.gvr.group}".rstrip(".")


_UPSERTED = frozenset(
    {
        *(("", plural) for plural in ("endpoints", "events", "limitranges", "services")),
        *((_RBAC, plural) for plural in ("clusterrolebindings", "clusterroles", "rolebindings", "roles")),
        ("coordination.k8s.io", "leases"),
        ("events.k8s.io", "events"),
        ("node.k8s.io", "runtimeclasses"),
    }
)

_RETURNED = frozenset(
    {
        ("", plural)
        for plural in (
            "namespaces", "persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "resourcequotas",
            "serviceaccounts", "services",
        )
    }
    | {
        ("storage.k8s.io", plural)
        for plural in ("csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses")
    }
    | {
        ("resource.k8s.io", plural)
        for plural in ("deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices")
    }
)  # fmt: skip
_GUARDED = frozenset(
    {
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("coordination.k8s.io", "leases"),
        ("policy", "poddisruptionbudgets"),
        *(("storage.k8s.io", plural) for plural in ("csidrivers", "csinodes", "volumeattachments")),
    }
)


def _table(group: str, version: str, rows: str) -> Iterator[Resource]:
    """Read rows of plural, kind, short name or ``-``, and flags: c(luster), s(tatus), g(eneration), r(eplicas)."""
    for row in rows.strip().splitlines():
        plural, kind, short, *flags = row.split()
        given = "".join(flags)
        yield Resource(
            gvr=GroupVersionResource(group, version, plural),
            kind=kind,
            namespaced="c" not in given,
            short_names=() if short == "-" else (short,),
            status="s" in given,
            generation="g" in given,
            scale=ScalePaths(selector=".spec.selector") if "r" in given else None,
        )


DEFAULT_RESOURCES: tuple[Resource, ...] = (
    *_table("", "v1", """
        configmaps             ConfigMap              cm
        endpoints              Endpoints              ep
        events                 Event                  ev
        limitranges            LimitRange             limits
        namespaces             Namespace              ns      cs
        nodes                  Node                   no      cs
        persistentvolumeclaims PersistentVolumeClaim  pvc     s
        persistentvolumes      PersistentVolume       pv      cs
        pods                   Pod                    po      sg
        podtemplates           PodTemplate            -       g
        replicationcontrollers ReplicationController  rc      sgr
        resourcequotas         ResourceQuota          quota   s
        secrets                Secret                 -
        serviceaccounts        ServiceAccount         sa
        services               Service                svc     s
    """),
    *_table("apps", "v1", """
        controllerrevisions    ControllerRevision     -
        daemonsets             DaemonSet              ds      sg
        deployments            Deployment             deploy  sgr
        replicasets            ReplicaSet             rs      sgr
        statefulsets           StatefulSet            sts     sgr
    """),
    *_table("events.k8s.io", "v1", """
        events                 Event                  ev
    """),
    *_table("batch", "v1", """
        cronjobs               CronJob                cj      sg
        jobs                   Job                    -       sg
    """),
    *_table("autoscaling", "v2", """
        horizontalpodautoscalers HorizontalPodAutoscaler hpa  s
    """),
    *_table("networking.k8s.io", "v1", """
        ingressclasses         IngressClass           -       cg
        ingresses              Ingress                ing     sg
        networkpolicies        NetworkPolicy          netpol  g
    """),
    *_table("policy", "v1", """
        poddisruptionbudgets   PodDisruptionBudget    pdb     sg
    """),
    *_table("rbac.authorization.k8s.io", "v1", """
        clusterrolebindings    ClusterRoleBinding     -       c
        clusterroles           ClusterRole            -       c
        rolebindings           RoleBinding            -
        roles                  Role                   -
    """),
    *_table("coordination.k8s.io", "v1", """
        leases                 Lease                  -
    """),
    *_table("discovery.k8s.io", "v1", """
        endpointslices         EndpointSlice          -       g
    """),
    *_table("scheduling.k8s.io", "v1", """
        priorityclasses        PriorityClass          pc      cg
    """),
    *_table("storage.k8s.io", "v1", """
        csidrivers             CSIDriver              -       c
        csinodes               CSINode                -       cs
        storageclasses         StorageClass           sc      c
        volumeattachments      VolumeAttachment       -       cs
    """),
    *_table("apiextensions.k8s.io", "v1", """
        customresourcedefinitions CustomResourceDefinition crd csg
    """),
)  # fmt: skip
"""The built-in resources that an embedded server serves by default."""

CRD = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
"""The resource whose objects define custom resources."""


def resource_of_crd(crd: Mapping[str, Any]) -> Resource:
    """Return the resource that a CustomResourceDefinition describes, in its storage version.

    Raises:
        LookupError: If a field is missing.
        StopIteration: If no version is the storage version.
    """
    spec = crd["spec"]
    names = spec["names"]
    version = next(version for version in spec["versions"] if version.get("storage", True))
    subresources = version.get("subresources", {})
    return Resource(
        gvr=GroupVersionResource(spec["group"], version["name"], names["plural"]),
        kind=names["kind"],
        namespaced=spec.get("scope", "Namespaced") == "Namespaced",
        short_names=tuple(names.get("shortNames", ())),
        status="status" in subresources,
        generation=True,
        custom=True,
        selectable=tuple(each["jsonPath"].removeprefix(".") for each in version.get("selectableFields", ())),
        schema=(version.get("schema") or {}).get("openAPIV3Schema"),
        scale=_scale_of_crd(subresources["scale"]) if "scale" in subresources else None,
    )


def _scale_of_crd(scale: Mapping[str, Any]) -> ScalePaths:
    selector = scale.get("labelSelectorPath", "")
    return ScalePaths(
        replicas=scale["specReplicasPath"], status_replicas=scale["statusReplicasPath"], selector=selector
    )


class Resources:
    """The resources that are served at present.

    Args:
        resources: The resources to begin with.
    """

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._by_gvr: dict[GroupVersionResource, Resource] = {}
        self._by_name: dict[str, list[Resource]] = {}
        for resource in resources:
            self.add(resource)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_gvr.values())

    def add(self, resource: Resource) -> None:
        """Add a resource, or replace the one with the same name."""
        self._forget_names(resource.gvr)
        self._by_gvr[resource.gvr] = resource
        for name in {resource.gvr.resource, resource.singular, *resource.short_names}:
            self._by_name.setdefault(name, []).append(resource)

    def remove(self, gvr: GroupVersionResource) -> None:
        """Remove a resource; ignore one that is not served."""
        self._forget_names(gvr)
        self._by_gvr.pop(gvr, None)

    def _forget_names(self, gvr: GroupVersionResource) -> None:
        for name, found in self._by_name.items():
            self._by_name[name] = [resource for resource in found if resource.gvr != gvr]

    def get(self, gvr: GroupVersionResource) -> Resource | None:
        """Return the resource; None if it is not served."""
        return self._by_gvr.get(gvr)

    def groups(self) -> dict[str, list[str]]:
        """Return the versions of each group, with groups in the order in which they were added."""
        groups: dict[str, list[str]] = {}
        for group, version, _ in self._by_gvr:
            versions = groups.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return groups

    def called(self, text: str) -> list[Resource]:
        """Return the resources of a name; of several, those whose plural it is come first.

        Args:
            text: A plural, singular, short name or kind, in any case, alone or with its group (``Deployment.apps``) or
                with version and group (``deployments.v1.apps``; ``pods.v1.`` of the core group).
        """
        name, dot, rest = text.lower().partition(".")
        version, _, group = rest.partition(".")
        if not is_version(version):
            version, group = "", rest
        found = [
            resource
            for resource in self._by_name.get(name, ())
            if (not version or resource.gvr.version == version) and (not dot or resource.gvr.group == group)
        ]
        return [each for each in found if each.gvr.resource == name] or found

    def resolve(self, what: ResourceName) -> Resource:
        """Return the resource that a name means; see :data:`ResourceName`.

        Raises:
            TypeError: If it is nothing that names a resource.
            LookupError: If no resource, or more than one, has this name.
        """
        name = ""
        if isinstance(what, type):
            kind = _kind_of_model(what)
            name, what = kind.kind, kind.resource
        if isinstance(what, GroupVersionResource):
            found = [resource for resource in self if resource.gvr == what]
        elif isinstance(what, str):
            found = self.called(what)
        else:
            raise TypeError(_no_name(what))
        if len(found) > 1:  # one of several names of the same objects is as good as any other
            found = [each for each in found if each.gvr[0::2] != ("events.k8s.io", "events")]
        if len(found) == 1:
            return found[0]
        if found:
            names = " or ".join(repr(_full_name(each)) for each in found)
            raise LookupError(f"more than one resource is served as {str(what)!r}: write {names}")
        raise LookupError(f"no resource is served as {str(what)!r}: {self.advice(name or str(what))}")

    def advice(self, name: str) -> str:
        """Return what was probably meant by a name that no resource has, or how to serve it."""
        word = name.partition(".")[0]
        if found := self.called(word):
            return f"did you mean {_full_name(found[0])!r}?"
        if built_in := _built_in(word):
            more = "" if built_in.is_namespaced else ", namespaced=False"
            return f"server.add_resource({str(built_in.resource)!r}, {built_in.kind!r}{more}, custom=False) serves it"
        names = {each for resource in self for each in (resource.gvr.resource, resource.singular)}
        if meant := near(word, sorted(names), likeness=0.75):
            return f"did you mean {meant!r}?"
        return "server.add_resource() serves it, and so does creating its CustomResourceDefinition"


def _full_name(resource: Resource) -> str:
    return f"{resource.gvr.resource}.{resource.gvr.version}.{resource.gvr.group}"


def _built_in(name: str) -> Kind | None:
    """Return a kind that Kubernetes has and this server does not serve."""
    return next(iter(kinds_called(name)), None)


def _kind_of_model(model: type) -> Kind:
    try:
        return kind_of_model(model)
    except ValueError:
        raise LookupError(f"{model.__name__} is no model of a known kind: name its resource by its kind") from None


def _no_name(what: object) -> str:
    """Return what to do with something that names no resource."""
    if isinstance(what, tuple) and len(what) == len(GroupVersionResource._fields):
        return f"write GroupVersionResource{what!r}"
    if hasattr(type(what), "openapi_types"):
        return f"give the class {type(what).__name__}, not one of its objects: the object comes after it"
    return f"a resource is named by its kind, plural or short name, such as 'pods', not by {shown(what)}"
