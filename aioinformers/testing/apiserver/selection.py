"""Selects the objects of a LIST or WATCH by namespace, label selector and field selector."""

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
    """

    namespace: str = ""
    labels: LabelSelector | None = None
    fields: tuple[FieldRequirement, ...] = ()

    @classmethod
    def parse(cls, resource: Resource, namespace: str, query: Mapping[str, str]) -> Selection:
        """Read the selectors of a query.

        Raises:
            StatusError: 400 if a selector cannot be parsed or names an unknown field.
        """
        labels = None
        if text := query.get("labelSelector"):
            try:
                labels = parse_label_selector(text)
            except InvalidSelectorError as error:
                raise StatusError.bad_request(f"unable to parse requirement: {error.problem}") from error
        return cls(namespace, labels, _parse_fields(resource, query.get("fieldSelector", "")))

    @property
    def has_selectors(self) -> bool:
        """Whether objects are selected by more than their namespace."""
        return self.labels is not None or bool(self.fields)

    def matches(self, item: Stored) -> bool:
        """Tell whether an object is selected."""
        if self.namespace and item.namespace != self.namespace:
            return False
        if self.labels is not None and not self.labels.matches(item.labels):
            return False
        return all(
            (_value(item, field) == value) is (operator is Operator.EQUALS) for field, operator, value in self.fields
        )

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
