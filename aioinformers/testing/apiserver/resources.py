"""The resources that the embedded server serves, with their properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aioinformers.types import GroupVersionResource

__all__ = ["CRD", "DEFAULT_RESOURCES", "Resource", "Resources", "resource_of_crd"]


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
        custom: Whether it comes from a CustomResourceDefinition: its objects are encoded with sorted keys, list items
            have a kind, and updates need a resourceVersion.
    """

    gvr: GroupVersionResource
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    status: bool = False
    generation: bool = False
    custom: bool = False

    @property
    def singular(self) -> str:
        """The singular name."""
        return self.kind.lower()

    @property
    def group_resource(self) -> str:
        """The resource as in the server's messages: ``deployments.apps``."""
        return f"{self.gvr.resource}.{self.gvr.group}".rstrip(".")

    @property
    def group_kind(self) -> str:
        """The kind as in the server's messages: ``Deployment.apps``."""
        return f"{self.kind}.{self.gvr.group}".rstrip(".")


def _table(group: str, version: str, rows: str) -> Iterator[Resource]:
    """Read rows of plural, kind, short name or ``-``, and flags: c(luster), s(tatus), g(eneration)."""
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
        replicationcontrollers ReplicationController  rc      sg
        resourcequotas         ResourceQuota          quota   s
        secrets                Secret                 -
        serviceaccounts        ServiceAccount         sa
        services               Service                svc     s
    """),
    *_table("apps", "v1", """
        controllerrevisions    ControllerRevision     -
        daemonsets             DaemonSet              ds      sg
        deployments            Deployment             deploy  sg
        replicasets            ReplicaSet             rs      sg
        statefulsets           StatefulSet            sts     sg
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
    return Resource(
        gvr=GroupVersionResource(spec["group"], version["name"], names["plural"]),
        kind=names["kind"],
        namespaced=spec.get("scope", "Namespaced") == "Namespaced",
        short_names=tuple(names.get("shortNames", ())),
        status="status" in version.get("subresources", {}),
        generation=True,
        custom=True,
    )


class Resources:
    """The resources that are served at present.

    Args:
        resources: The resources to begin with.
    """

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._by_gvr: dict[GroupVersionResource, Resource] = {}
        for resource in resources:
            self.add(resource)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_gvr.values())

    def add(self, resource: Resource) -> None:
        """Add a resource, or replace the one with the same name."""
        self._by_gvr[resource.gvr] = resource

    def remove(self, gvr: GroupVersionResource) -> None:
        """Remove a resource; ignore one that is not served."""
        self._by_gvr.pop(gvr, None)

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

    def resolve(self, what: GroupVersionResource | str) -> Resource:
        """Return the resource for a GVR, ``plural.version.group``, a plural or a short name.

        Raises:
            LookupError: If no resource, or more than one, has this name.
        """
        if isinstance(what, GroupVersionResource):
            matches = [resource for resource in self if resource.gvr == what]
        elif "." in what:
            return self.resolve(GroupVersionResource.parse(what))
        else:
            matches = [resource for resource in self if what in (resource.gvr.resource, *resource.short_names)]
        if len(matches) != 1:
            problem = "more than one resource is" if matches else "no resource is"
            raise LookupError(f"{problem} served as {str(what)!r}: name it as plural.version.group")
        return matches[0]
