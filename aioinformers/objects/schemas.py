"""Which fields the objects of a kind have, as far as its model tells: paths that lead nowhere are refused. Pure."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

from aioinformers.checks import near
from aioinformers.errors import InvalidPathError
from aioinformers.objects.paths import EACH, Path

__all__ = ["Schema"]

_LIST = re.compile(r"list\[(.+)\]")
_MAP = re.compile(r"dict[(\[]\s*str,\s*(.+)[)\]]")
_SCALARS: Final = {"str", "int", "float", "bool", "datetime", "date", "bytes"}
SHOWN_FIELDS: Final = 12
LIKENESS: Final = 0.8
"""How much two names have to have in common for one to be a mistake for the other."""

logger: logging.Logger = logging.getLogger("aioinformers.factory")


class Schema:
    """Checks paths against a model of kubernetes_asyncio: against its ``openapi_types`` and ``attribute_map``.

    Args:
        name: What an error calls the objects.
        model_of: Gives the model of the whole object; None where there is none, as of custom resources.
        metadata_of: Gives the model of the metadata, which all kinds have.
    """

    def __init__(
        self, name: str, model_of: Callable[[], type[Any]] | None, metadata_of: Callable[[], type[Any]]
    ) -> None:
        self._name = name
        self._model_of = model_of
        self._metadata_of = metadata_of

    def check(self, text: str, path: Path, *, is_value: bool) -> None:
        """Refuse a path that no object of the kind has.

        Args:
            text: The path, as it was written.
            path: The same, parsed.
            is_value: What it leads to must be a value, or a list of values, as an index needs them.

        Raises:
            InvalidPathError: If there is no such field, but one of nearly that name; or if the path leads into a value.
                What is quite unknown may be newer than the client, and is only logged.
        """
        steps = path.steps
        type_name, models = "object", sys.modules[__name__]
        done = 0
        if self._model_of is not None:
            model = self._model_of()
            type_name, models = model.__name__, _models_of(model)
        elif steps[0] == "metadata":
            model = self._metadata_of()
            type_name, models, done = model.__name__, _models_of(model), 1
        for at in range(done, len(steps)):
            type_name = self._after(text, path, at, type_name, models)
        if is_value and not _is_value(type_name, models):
            self._fail(text, path, len(steps), f"that is no value but {_in_words(type_name, models)}")

    def has_field(self, name: str) -> bool:
        """Tell whether objects of the kind may have a field at their top: what is not known may."""
        if self._model_of is None:
            return True
        model: Any = self._model_of()
        return name in _fields_of(model)

    def _after(self, text: str, path: Path, at: int, type_name: str, models: Any) -> str:
        """Return the type behind a step, given the type before it."""
        step = path.steps[at]
        if (element := _LIST.fullmatch(type_name)) is not None:
            if step is not EACH:
                self._fail(text, path, at, f"that is a list: write {Path((*path.steps[:at], EACH, *path.steps[at:]))}")
            return element[1]
        is_open = type_name not in _SCALARS and not _MAP.fullmatch(type_name) and not _is_known(type_name, models)
        if is_open:
            return "object"
        if step is EACH:
            self._fail(text, path, at, f"that is no list but {_in_words(type_name, models)}")
        if (value := _MAP.fullmatch(type_name)) is not None:
            return value[1]
        if type_name in _SCALARS:
            self._fail(text, path, at, f"that is {_in_words(type_name, models)}: it has no parts")
        fields = _fields_of(getattr(models, type_name))
        if step in fields:
            return fields[step]
        place = f"{self._name}.{Path(path.steps[:at])}" if at else self._name
        if (meant := near(step, fields, LIKENESS)) is not None:
            right = Path((*path.steps[:at], meant))
            self._fail(text, path, at, f"{place} has no field {step!r}: did you mean {right}?")
        logger.warning("%s: the client's models know no field %s of %s; a newer server may", text, step, place)
        return "object"

    @staticmethod
    def _fail(text: str, path: Path, at: int, problem: str) -> NoReturn:
        """Raise the error, at the end of the path's first so many steps."""
        before = str(Path(path.steps[:at]))
        raise InvalidPathError(text, len(before) if text.startswith(before) else 0, problem)


def _models_of(model: type[Any]) -> Any:
    """Return the module where the names of a model's types are looked up."""
    owner = next(base for base in model.__mro__ if "openapi_types" in vars(base))
    return sys.modules[owner.__module__.rpartition(".")[0]]


def _is_known(type_name: str, models: Any) -> bool:
    """Tell whether a type is a model; the client names some that it does not have, and ``object`` is anything."""
    return hasattr(getattr(models, type_name, None), "openapi_types")


def _is_value(type_name: str, models: Any) -> bool:
    if (element := _LIST.fullmatch(type_name)) is not None:
        return _is_value(element[1], models)
    return type_name in _SCALARS or not (_MAP.fullmatch(type_name) or _is_known(type_name, models))


def _in_words(type_name: str, models: Any) -> str:
    if (element := _LIST.fullmatch(type_name)) is not None:
        return f"a list, each of whose elements is {_in_words(element[1], models)}"
    if _MAP.fullmatch(type_name):
        return "an object: name one of its keys, as in metadata.labels['app']"
    if type_name in _SCALARS:
        return {"str": "a text", "datetime": "a time", "bool": "true or false"}.get(type_name, "a number")
    names = sorted(_fields_of(getattr(models, type_name)))
    more = ", …" if len(names) > SHOWN_FIELDS else ""
    return f"an object with the fields {', '.join(names[:SHOWN_FIELDS])}{more}"


@functools.cache
def _fields_of(model: type[Any]) -> dict[str, str]:
    """Return the type of each field of a model by its name in JSON."""
    types: dict[str, str] = model.openapi_types
    return {model.attribute_map[name]: type_name for name, type_name in types.items()}
