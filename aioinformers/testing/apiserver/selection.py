"""Selects the objects of a LIST or WATCH by namespace, and by selectors of labels, fields and shards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aioinformers.errors import InvalidSelectorError
from aioinformers.objects.selectors import (
    FieldRequirement,
    LabelSelector,
    Operator,
    parse_field_selector,
    parse_label_selector,
)
from aioinformers.testing.apiserver.fields import check_field
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.shards import ShardSelector
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.table import Stored

__all__ = ["Selection"]

_TERM = re.compile(r"(?:[^\\,]|\\.)+")


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter on stored objects.

    Attributes:
        namespace: The namespace of the objects; ``""`` for all namespaces.
        labels: The selector that their labels match; None for all objects.
        fields: The requirements that their fields meet.
        shards: The ranges that the hash of their uid or namespace is in; None for all objects.
    """

    namespace: str = ""
    labels: LabelSelector | None = None
    fields: tuple[FieldRequirement, ...] = ()
    shards: ShardSelector | None = None

    @classmethod
    def parse(
        cls, resource: Resource, namespace: str, query: Mapping[str, str], *, shard_selector: bool = False
    ) -> Selection:
        """Read the selectors of a query.

        Args:
            resource: The resource of the objects.
            namespace: Their namespace; ``""`` for all.
            query: The query.
            shard_selector: Whether the server knows ``shardSelector``; it passes over it otherwise.

        Raises:
            StatusError: 400 if a selector cannot be parsed or names an unknown field, 500 if it is one of shards.
        """
        labels = None
        if text := query.get("labelSelector"):
            try:
                labels = parse_label_selector(text)
            except InvalidSelectorError as error:
                raise StatusError.bad_request(f"unable to parse requirement: {error.problem}") from error
        fields = _parse_fields(resource, query.get("fieldSelector", ""))
        text = query.get("shardSelector", "") if shard_selector else ""
        return cls(namespace, labels, fields, ShardSelector.parse(text) if text else None)

    @property
    def has_selectors(self) -> bool:
        """Whether objects are selected by more than their namespace."""
        return self.labels is not None or bool(self.fields) or self.shards is not None

    def matches(self, item: Stored) -> bool:
        """Tell whether an object is selected."""
        if self.namespace and item.namespace != self.namespace:
            return False
        if self.labels is not None and not self.labels.matches(item.labels):
            return False
        if self.shards is not None and not self.shards.matches(item.uid, item.namespace):
            return False
        return all(
            (_value(item, field) == value) is (operator is Operator.EQUALS) for field, operator, value in self.fields
        )

    def reads(self, item: Stored) -> bool:
        """Tell whether the server looks at an object in order to find those that are selected.

        It looks at those of the namespace, also if that is named by a field; where a field tells the name of the only
        one that can be selected, or the node of Pods, at no others. The end of these is the end of a list in pages.
        """
        exact = {field: value for field, operator, value in self.fields if operator is Operator.EQUALS}
        namespace = self.namespace or exact.get("metadata.namespace", "")
        if namespace and item.namespace != namespace:
            return False
        if (namespace or not item.namespace) and item.name != exact.get("metadata.name", item.name):
            return False
        return "spec.nodeName" not in exact or _value(item, "spec.nodeName") == exact["spec.nodeName"]

    def filter(self, items: Iterable[Stored]) -> list[Stored]:
        """Return the selected objects, in their order."""
        if not self.namespace and not self.has_selectors:
            return list(items)
        return [item for item in items if self.matches(item)]


def _parse_fields(resource: Resource, text: str) -> tuple[FieldRequirement, ...]:
    try:
        requirements = parse_field_selector(text).requirements
    except InvalidSelectorError as error:
        if unclear := next((term for term in _TERM.findall(text) if "=" not in term), ""):
            message = f"invalid selector: '{text}'; can't understand '{unclear}'"
            raise StatusError.bad_request(message) from error
        raise StatusError.bad_request(f"invalid field selector: {error.problem}") from error
    for requirement in requirements:
        check_field(resource, requirement.path)
    return requirements


def _value(item: Stored, field: str) -> str:
    if field == "metadata.name":
        return item.name
    if field == "metadata.namespace":
        return item.namespace
    return item.fields.get(field, "")
