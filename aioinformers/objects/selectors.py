"""Label and field selectors: parsed once, matched against the cache.

The grammars are those of ``labels.Parse`` and ``fields.ParseSelector`` in k8s.io/apimachinery, so a selector means
the same here as to the API server. Both parsers normalise: different spellings of one selector (``a==b`` and
``a in (b)``) are equal, have the same hash and the same ``str()``.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

from aioinformers.errors import InvalidSelectorError

__all__ = [
    "FieldRequirement",
    "FieldSelector",
    "LabelRequirement",
    "LabelSelector",
    "Operator",
    "parse_field_selector",
    "parse_label_selector",
]


class Operator(enum.StrEnum):
    """How a requirement relates its key and its values."""

    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    NOT_EXISTS = "!exists"
    GREATER = ">"
    LESS = "<"


class LabelRequirement(NamedTuple):
    """One condition of a label selector, in normal form.

    Attributes:
        key: The label's key.
        operator: How key and values relate. ``IN`` and ``NOT_IN`` have at least two values: with one value they
            become ``EQUALS`` and ``NOT_EQUALS``.
        values: Sorted, without duplicates.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.NOT_EXISTS:
                return f"!{self.key}"
            case Operator.IN | Operator.NOT_IN:
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


_NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of label requirements; ``str()`` gives its canonical text.

    Attributes:
        requirements: Sorted, without duplicates.
    """

    requirements: tuple[LabelRequirement, ...] = ()
    _tests: tuple[Callable[[Mapping[str, str]], bool], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tests", tuple(map(_compiled, self.requirements)))

    @property
    def is_empty(self) -> bool:
        """Whether it has no requirements and so matches everything."""
        return not self.requirements

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Tell whether labels meet every requirement.

        As on the server, labels without the key meet ``!=``, ``notin`` and ``!key``.

        Args:
            labels: The labels of an object; ``None`` for an object without labels.
        """
        if labels is None:
            labels = _NO_LABELS
        for test in self._tests:  # noqa: SIM110  a generator for all() takes as long as the tests themselves
            if not test(labels):
                return False
        return True

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    def __reduce__(self) -> tuple[Callable[[str], LabelSelector], tuple[str]]:
        return parse_label_selector, (str(self),)  # the compiled tests cannot be pickled


class FieldRequirement(NamedTuple):
    """One condition of a field selector.

    Attributes:
        path: The field, such as ``metadata.name``.
        operator: ``EQUALS`` or ``NOT_EQUALS``.
        value: The value, unescaped.
    """

    path: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        return f"{self.path}{self.operator}{_FIELD_SPECIAL.sub(_BACKSLASHED, self.value)}"


_FIELD_SPECIAL = re.compile(r"[\\,=]")
_BACKSLASHED = r"\\\g<0>"
_CACHEABLE = frozenset({"metadata.name", "metadata.namespace"})


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of field requirements; ``str()`` gives its canonical text.

    Any field can be sent to the server, which decides what it supports for the resource. The cache supports only
    ``metadata.name`` and ``metadata.namespace``: see :meth:`require_cacheable`.

    Attributes:
        requirements: Sorted, without duplicates.
    """

    requirements: tuple[FieldRequirement, ...] = ()

    def require_cacheable(self) -> FieldSelector:
        """Return the selector itself if the cache can match it.

        Raises:
            InvalidSelectorError: If it names a field that the cache does not support.
        """
        position = 0
        for requirement in self.requirements:
            if requirement.path not in _CACHEABLE:
                raise InvalidSelectorError(
                    str(self),
                    position,
                    f"on the cache only metadata.name and metadata.namespace can be selected, not "
                    f"{requirement.path!r}: send others to the server with field_selector= on the informer, "
                    f"or add an index",
                )
            position += len(str(requirement)) + 1
        return self

    def matches(self, namespace: str, name: str) -> bool:
        """Tell whether an object with this namespace and name meets every requirement.

        Raises:
            InvalidSelectorError: As ``require_cacheable``.
        """
        self.require_cacheable()
        for path, operator, value in self.requirements:
            actual = name if path == "metadata.name" else namespace
            if (actual == value) is not (operator is Operator.EQUALS):
                return False
        return True

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def parse_label_selector(text: str) -> LabelSelector:
    """Parse a label selector such as ``app=web,tier in (a,b),!canary``; an empty text selects everything.

    Raises:
        InvalidSelectorError: If the text does not follow the grammar, or a key or value is not valid for a label.
        TypeError: If the argument is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"a label selector is a text such as 'app=web,!canary', not {type(text).__name__}")
    return _cached_label_selector(text)


def parse_field_selector(text: str) -> FieldSelector:
    r"""Parse a field selector such as ``spec.nodeName=n1,metadata.namespace!=kube-system``.

    Blanks are significant, as on the server. In values, a backslash escapes ``\``, ``,`` and ``=``.

    Raises:
        InvalidSelectorError: If the text does not follow the grammar.
        TypeError: If the argument is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"a field selector is a text such as 'metadata.name=web', not {type(text).__name__}")
    return _cached_field_selector(text)


@functools.lru_cache(maxsize=1024)
def _cached_label_selector(text: str) -> LabelSelector:
    return LabelSelector(tuple(sorted(set(_LabelParser(text).parse()))))


@functools.lru_cache(maxsize=1024)
def _cached_field_selector(text: str) -> FieldSelector:
    terms = [_field_requirement(text, match) for match in _FIELD_TERM.finditer(text)]
    return FieldSelector(tuple(sorted(set(terms))))


def _compiled(requirement: LabelRequirement) -> Callable[[Mapping[str, str]], bool]:
    """Compile a requirement to a test. An absent key reads as None, which differs from every value."""
    key, operator, values = requirement
    match operator:
        case Operator.EQUALS:
            value = values[0]
            return lambda labels: labels.get(key) == value
        case Operator.NOT_EQUALS:
            value = values[0]
            return lambda labels: labels.get(key) != value
        case Operator.IN:
            return lambda labels: labels.get(key) in values
        case Operator.NOT_IN:
            return lambda labels: labels.get(key) not in values
        case Operator.EXISTS:
            return lambda labels: key in labels
        case Operator.NOT_EXISTS:
            return lambda labels: key not in labels
        case Operator.GREATER:
            bound = int(values[0])
            return lambda labels: (number := _int64(labels.get(key))) is not None and number > bound
        case _:  # LESS
            bound = int(values[0])
            return lambda labels: (number := _int64(labels.get(key))) is not None and number < bound


_INTEGER = re.compile(r"[+-]?[0-9]{1,63}")  # label values have at most 63 characters


def _int64(text: str | None) -> int | None:
    """Parse a label's value as ``strconv.ParseInt(text, 10, 64)`` does; None if that would fail."""
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


_TOKEN = re.compile(r"[ \t\r\n]*(?:(?P<word>[^ \t\r\n=!(),<>]+)|(?P<symbol>==|!=|[=!(),<>])|\Z)")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE = "letters, digits, '-', '_' and '.', with a letter or digit at both ends"
_OPERATORS = {
    "=": Operator.EQUALS,
    "==": Operator.EQUALS,
    "!=": Operator.NOT_EQUALS,
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    ">": Operator.GREATER,
    "<": Operator.LESS,
}


class _Token(NamedTuple):
    text: str
    position: int
    is_word: bool

    def __str__(self) -> str:
        return repr(self.text) if self.text else "the end"


def _token(match: re.Match[str]) -> _Token:
    group = match.lastgroup
    return _Token(match[group], match.start(group), group == "word") if group else _Token("", match.end(), False)


class _LabelParser:
    """A recursive descent parser; ``in`` and ``notin`` may also be keys and values."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [_token(match) for match in _TOKEN.finditer(text)]
        self._next = 0

    def parse(self) -> list[LabelRequirement]:
        requirements: list[LabelRequirement] = []
        if not self._peek().text:
            return requirements
        while True:
            requirements.append(self._requirement())
            token = self._take()
            if not token.text:
                return requirements
            if token.text != ",":
                self._fail(token, f"found {token}, expected ',' or the end")

    def _requirement(self) -> LabelRequirement:
        negated = self._peek().text == "!"
        if negated:
            self._take()
        key = self._take()
        if not key.is_word:
            self._fail(key, f"found {key}, expected a label key" + ("" if negated else " or '!'"))
        self._check_key(key)
        if negated:
            return LabelRequirement(key.text, Operator.NOT_EXISTS)
        if self._peek().text in ("", ","):
            return LabelRequirement(key.text, Operator.EXISTS)
        sign = self._take()
        operator = _OPERATORS.get(sign.text)
        if operator is None:
            self._fail(sign, f"found {sign}, expected ',' or one of =, ==, !=, in, notin, >, <")
        match operator:
            case Operator.IN | Operator.NOT_IN:
                return _of_set(key.text, operator, self._values())
            case Operator.GREATER | Operator.LESS:
                return LabelRequirement(key.text, operator, (self._integer(sign),))
            case _:
                return LabelRequirement(key.text, operator, (self._value(),))

    def _values(self) -> set[str]:
        opening = self._take()
        if opening.text != "(":
            self._fail(opening, f"found {opening}, expected '(' and a list of values, as in (a,b)")
        values: set[str] = set()
        while True:
            values.add(self._value())
            token = self._take()
            if token.text == ")":
                return values
            if token.text != ",":
                self._fail(token, f"found {token}, expected ',' or ')'")

    def _value(self) -> str:
        """Take a value, which is empty before a ``,``, a ``)`` or the end."""
        token = self._peek()
        if token.text in ("", ",", ")"):
            return ""
        if not token.is_word:
            self._fail(token, f"found {token}, expected a value")
        if len(token.text) > 63:
            self._fail(token, f"a label value has at most 63 characters, this one {len(token.text)}")
        if not _NAME.fullmatch(token.text):
            self._fail(token, f"{token} is not a label value: it is empty or consists of {_NAME_RULE}")
        return self._take().text

    def _integer(self, sign: _Token) -> str:
        token = self._peek()
        number = _int64(self._value())
        if number is None:
            self._fail(token, f"found {token}, expected an integer of 64 bits after {sign}")
        return str(number)

    def _check_key(self, key: _Token) -> None:
        prefix, slash, name = key.text.rpartition("/")
        if slash and not (len(prefix) <= 253 and _DNS_SUBDOMAIN.fullmatch(prefix)):
            self._fail(
                key,
                f"the prefix of the key {key} is not a DNS subdomain: lower-case letters, digits, '-' and '.', "
                f"at most 253 characters",
            )
        if len(name) > 63:
            self._fail(key, f"the name of the key {key} has {len(name)} characters, at most 63 are allowed")
        if not _NAME.fullmatch(name):
            self._fail(key, f"{key} is not a label key: its name consists of {_NAME_RULE}")

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        if token.text:  # the end token stays: it can be taken repeatedly
            self._next += 1
        return token

    def _fail(self, token: _Token, problem: str) -> NoReturn:
        raise InvalidSelectorError(self._text, token.position, problem)


def _of_set(key: str, operator: Operator, values: set[str]) -> LabelRequirement:
    if len(values) == 1:
        operator = Operator.EQUALS if operator is Operator.IN else Operator.NOT_EQUALS
    return LabelRequirement(key, operator, tuple(sorted(values)))


_FIELD_TERM = re.compile(r"(?:\\.|[^\\,]|\\\Z)+", re.DOTALL)  # up to an unescaped comma
_FIELD_OPERATOR = re.compile(r"!=|==?")
_FIELD_PATH = re.compile(r"[^\s\\]+")
_FIELD_VALUE = re.compile(r"(?:[^\\,=]|\\[\\,=])*")  # ends before the first invalid character
_FIELD_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _field_requirement(text: str, term: re.Match[str]) -> FieldRequirement:
    sign = _FIELD_OPERATOR.search(term[0])
    if sign is None:
        raise InvalidSelectorError(
            text, term.start(), f"found {term[0]!r}, expected a field, one of =, ==, !=, and a value"
        )
    path = term[0][: sign.start()]
    if not _FIELD_PATH.fullmatch(path):
        raise InvalidSelectorError(
            text, term.start(), f"{path!r} is not a field: expected one such as 'metadata.name', without blanks"
        )
    value = term[0][sign.end() :]
    valid = _FIELD_VALUE.match(value)
    assert valid is not None, "the pattern matches the empty text"
    if valid.end() < len(value):
        raise InvalidSelectorError(
            text,
            term.start() + sign.end() + valid.end(),
            f"unexpected {value[valid.end()]!r} in a value: write \\\\, \\, or \\= for the characters \\ , =",
        )
    operator = Operator.NOT_EQUALS if sign[0] == "!=" else Operator.EQUALS
    return FieldRequirement(path, operator, _FIELD_ESCAPE.sub(r"\1", value))
