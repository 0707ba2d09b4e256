"""The built-in kinds: one module per group, one class per version, one line per kind.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, InformerMaker, Kind, Version, attribute_of
from aioinformers.resources._catalogue import Catalogue
from aioinformers.types import GroupVersionResource

if TYPE_CHECKING:
    from aioinformers.resources.admissionregistration import Admissionregistration
    from aioinformers.resources.apiextensions import Apiextensions
    from aioinformers.resources.apiregistration import Apiregistration
    from aioinformers.resources.apps import Apps
    from aioinformers.resources.auditregistration import Auditregistration
    from aioinformers.resources.autoscaling import Autoscaling
    from aioinformers.resources.batch import Batch
    from aioinformers.resources.certificates import Certificates
    from aioinformers.resources.coordination import Coordination
    from aioinformers.resources.core import Core
    from aioinformers.resources.discovery import Discovery
    from aioinformers.resources.events import Events
    from aioinformers.resources.extensions import Extensions
    from aioinformers.resources.flowcontrol import Flowcontrol
    from aioinformers.resources.internal import Internal
    from aioinformers.resources.lifecycle import Lifecycle
    from aioinformers.resources.networking import Networking
    from aioinformers.resources.node import Node
    from aioinformers.resources.policy import Policy
    from aioinformers.resources.rbac import Rbac
    from aioinformers.resources.resource import Resource
    from aioinformers.resources.scheduling import Scheduling
    from aioinformers.resources.settings import Settings
    from aioinformers.resources.storage import Storage
    from aioinformers.resources.storagemigration import Storagemigration

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

CLIENT_VERSION = 36
"""The major version of kubernetes_asyncio whose kinds these are."""

GROUPS = {
    "admissionregistration.k8s.io": "admissionregistration",
    "apiextensions.k8s.io": "apiextensions",
    "apiregistration.k8s.io": "apiregistration",
    "apps": "apps",
    "auditregistration.k8s.io": "auditregistration",
    "autoscaling": "autoscaling",
    "batch": "batch",
    "certificates.k8s.io": "certificates",
    "coordination.k8s.io": "coordination",
    "": "core",
    "discovery.k8s.io": "discovery",
    "events.k8s.io": "events",
    "extensions": "extensions",
    "flowcontrol.apiserver.k8s.io": "flowcontrol",
    "internal.apiserver.k8s.io": "internal",
    "lifecycle.k8s.io": "lifecycle",
    "networking.k8s.io": "networking",
    "node.k8s.io": "node",
    "policy": "policy",
    "rbac.authorization.k8s.io": "rbac",
    "resource.k8s.io": "resource",
    "scheduling.k8s.io": "scheduling",
    "settings.k8s.io": "settings",
    "storage.k8s.io": "storage",
    "storagemigration.k8s.io": "storagemigration",
}
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
            raise AttributeError(f"the factory has no {name!r}: {_catalogue.missing(name, others)}")

    @cached_property
    def admissionregistration(self) -> Admissionregistration:
        """Webhooks and policies that judge requests to the API server."""
        from aioinformers.resources.admissionregistration import Admissionregistration

        return Admissionregistration(self._make)

    @cached_property
    def apiextensions(self) -> Apiextensions:
        """Definitions of custom resources."""
        from aioinformers.resources.apiextensions import Apiextensions

        return Apiextensions(self._make)

    @cached_property
    def apiregistration(self) -> Apiregistration:
        """API servers that serve a group behind the main one."""
        from aioinformers.resources.apiregistration import Apiregistration

        return Apiregistration(self._make)

    @cached_property
    def apps(self) -> Apps:
        """Workloads that are kept running, and their revisions."""
        from aioinformers.resources.apps import Apps

        return Apps(self._make)

    @cached_property
    def auditregistration(self) -> Auditregistration:
        """Receivers of audit events."""
        from aioinformers.resources.auditregistration import Auditregistration

        return Auditregistration(self._make)

    @cached_property
    def autoscaling(self) -> Autoscaling:
        """Scaling of workloads."""
        from aioinformers.resources.autoscaling import Autoscaling

        return Autoscaling(self._make)

    @cached_property
    def batch(self) -> Batch:
        """Workloads that end."""
        from aioinformers.resources.batch import Batch

        return Batch(self._make)

    @cached_property
    def certificates(self) -> Certificates:
        """Requests for certificates, and bundles of trust anchors."""
        from aioinformers.resources.certificates import Certificates

        return Certificates(self._make)

    @cached_property
    def coordination(self) -> Coordination:
        """Leases, and candidates for leadership."""
        from aioinformers.resources.coordination import Coordination

        return Coordination(self._make)

    @cached_property
    def core(self) -> Core:
        """The core group: Pods, Services, ConfigMaps, Namespaces, Nodes, ..."""
        from aioinformers.resources.core import Core

        return Core(self._make)

    @cached_property
    def discovery(self) -> Discovery:
        """Endpoints of Services."""
        from aioinformers.resources.discovery import Discovery

        return Discovery(self._make)

    @cached_property
    def events(self) -> Events:
        """Events, in their newer form."""
        from aioinformers.resources.events import Events

        return Events(self._make)

    @cached_property
    def extensions(self) -> Extensions:
        """What later moved to ``apps``, ``networking.k8s.io`` and ``policy``."""
        from aioinformers.resources.extensions import Extensions

        return Extensions(self._make)

    @cached_property
    def flowcontrol(self) -> Flowcontrol:
        """Fair shares of the API server's capacity."""
        from aioinformers.resources.flowcontrol import Flowcontrol

        return Flowcontrol(self._make)

    @cached_property
    def internal(self) -> Internal:
        """What the API servers of one cluster tell each other."""
        from aioinformers.resources.internal import Internal

        return Internal(self._make)

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """Evictions as objects."""
        from aioinformers.resources.lifecycle import Lifecycle

        return Lifecycle(self._make)

    @cached_property
    def networking(self) -> Networking:
        """Ingresses, network policies and addresses of Services."""
        from aioinformers.resources.networking import Networking

        return Networking(self._make)

    @cached_property
    def node(self) -> Node:
        """Container runtimes."""
        from aioinformers.resources.node import Node

        return Node(self._make)

    @cached_property
    def policy(self) -> Policy:
        """Disruption budgets, and what Pods were allowed to do."""
        from aioinformers.resources.policy import Policy

        return Policy(self._make)

    @cached_property
    def rbac(self) -> Rbac:
        """Roles and who has them."""
        from aioinformers.resources.rbac import Rbac

        return Rbac(self._make)

    @cached_property
    def resource(self) -> Resource:
        """Devices and claims to them (dynamic resource allocation)."""
        from aioinformers.resources.resource import Resource

        return Resource(self._make)

    @cached_property
    def scheduling(self) -> Scheduling:
        """Priorities, and Pods that are scheduled together."""
        from aioinformers.resources.scheduling import Scheduling

        return Scheduling(self._make)

    @cached_property
    def settings(self) -> Settings:
        """Pod presets."""
        from aioinformers.resources.settings import Settings

        return Settings(self._make)

    @cached_property
    def storage(self) -> Storage:
        """Storage classes, drivers and attachments."""
        from aioinformers.resources.storage import Storage

        return Storage(self._make)

    @cached_property
    def storagemigration(self) -> Storagemigration:
        """Rewrites of stored objects in a newer version."""
        from aioinformers.resources.storagemigration import Storagemigration

        return Storagemigration(self._make)
