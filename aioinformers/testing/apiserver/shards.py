"""Selectors of shards (KEP-5866): what they may say, what they match, and how they are refused. Pure.

kube-apiserver parses them as expressions of CEL, and then accepts calls of ``shardRange`` joined by ``||`` alone. Here
are the expressions that come near to such a selector; what CEL knows beyond them is refused as well, in other words.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from aioinformers.sharding import Field, hash_field, shard_selector
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["ShardSelector"]

_ALL = "0x10000000000000000"
_FUNCTION = "shardRange"
_FIELDS: Final[dict[str, Field]] = {"object.metadata.uid": "uid", "object.metadata.namespace": "namespace"}

_CALL, _IDENT, _LITERAL, _SELECT = 1, 3, 5, 7  # cel-go's kinds of expressions, which messages name by number

_TOKEN: Final = re.compile(
    r"""\s*(?://[^\n]*\s*)*(?:
        (?P<text>'[^'\\\r\n]*'|"[^"\\\r\n]*")
      | (?P<number>\d+(?![\w.]))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>\|\||&&|[().,])
      | (?P<end>\Z)
      | (?P<unknown>.)
    )""",
    re.ASCII | re.DOTALL | re.VERBOSE,
)

_hash = functools.lru_cache(maxsize=1 << 16)(hash_field)  # each watch asks for it anew


class _RefusedError(Exception):
    """Why it is no selector."""


class _Token(NamedTuple):
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Node:
    """An expression: its kind, its name or value, and what it is applied to."""

    kind: int
    value: str | int
    parts: tuple[_Node, ...] = ()


class _Bounds(NamedTuple):
    """What one call of ``shardRange`` asks for."""

    path: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class ShardSelector:
    """A selector of ranges of hashes.

    Attributes:
        by: The field that is hashed.
        ranges: The ranges, each with its first hash and the one after its last.
    """

    by: Field
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> ShardSelector:
        """Parse a selector.

        Raises:
            StatusError: 500, as kube-apiserver 1.37 has it, if it is none.
        """
        try:
            if not text.strip():
                raise _RefusedError("empty shard selector is not allowed; omit the parameter for unfiltered lists")
            bounds = list(_walk(_Parser(text).whole()))
            for each in bounds:
                if each.path != bounds[0].path:
                    both = f"{_quoted(bounds[0].path)} and {_quoted(each.path)}"
                    raise _RefusedError(f"all shard ranges must use the same field, got {both}")
        except _RefusedError as why:
            raise StatusError(500, "", f"invalid shard selector: {why}") from None
        return cls(_FIELDS[bounds[0].path], tuple((each.begin, each.end) for each in bounds))

    def matches(self, uid: str, namespace: str) -> bool:
        """Tell whether an object is in one of the ranges."""
        value = _hash(uid if self.by == "uid" else namespace)
        return any(begin <= value < end for begin, end in self.ranges)

    def __str__(self) -> str:
        """The form in which lists repeat it."""
        return shard_selector(self.ranges, by=self.by)


class _Parser:
    """Reads the part of CEL that selectors are written in.

    Args:
        text: The expression.
    """

    def __init__(self, text: str) -> None:
        self._tokens = [_Token(each.lastgroup or "", each[each.lastgroup or 0]) for each in _TOKEN.finditer(text)]
        self._at = 0

    def whole(self) -> _Node:
        """Return the expression that the text is."""
        node = self._or()
        if self._tokens[self._at].kind != "end":
            raise self._unexpected()
        return node

    def _or(self) -> _Node:
        parts = [self._and()]
        while self._take("||"):
            parts.append(self._and())
        return _Node(_CALL, "_||_", tuple(parts)) if len(parts) > 1 else parts[0]

    def _and(self) -> _Node:
        node = self._member()
        while self._take("&&"):
            node = _Node(_CALL, "_&&_", (node, self._member()))
        return node

    def _member(self) -> _Node:
        node = self._primary()
        while self._take("."):
            node = _Node(_SELECT, self._name(), (node,))
        return node

    def _primary(self) -> _Node:
        kind, text = self._tokens[self._at]
        if self._take("("):
            node = self._or()
            self._expect(")")
            return node
        if kind == "text":
            self._at += 1
            return _Node(_LITERAL, text[1:-1])
        if kind == "number":
            self._at += 1
            return _Node(_LITERAL, int(text))
        name = self._name()
        return _Node(_CALL, name, self._arguments()) if self._take("(") else _Node(_IDENT, name)

    def _arguments(self) -> tuple[_Node, ...]:
        if self._take(")"):
            return ()
        arguments = [self._or()]
        while self._take(","):
            arguments.append(self._or())
        self._expect(")")
        return tuple(arguments)

    def _name(self) -> str:
        kind, text = self._tokens[self._at]
        if kind != "name":
            raise self._unexpected()
        self._at += 1
        return text

    def _take(self, sign: str) -> bool:
        taken = self._tokens[self._at] == ("sign", sign)
        self._at += taken
        return taken

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected()

    def _unexpected(self) -> _RefusedError:
        kind, text = self._tokens[self._at]
        found = "<EOF>" if kind == "end" else text
        return _RefusedError(
            f"CEL parse error: Syntax error: the embedded server does not expect {_quoted(found)} there"
        )


def _walk(node: _Node) -> Iterator[_Bounds]:
    if node.kind != _CALL:
        raise _RefusedError(f"unexpected expression kind {node.kind}; expected {_FUNCTION}() call or || operator")
    if node.value == "_||_":
        for part in node.parts:
            yield from _walk(part)
    elif node.value == _FUNCTION:
        yield _bounds(node.parts)
    else:
        raise _RefusedError(f'unsupported function "{node.value}"; only {_FUNCTION}() and || are allowed')


def _bounds(arguments: tuple[_Node, ...]) -> _Bounds:
    if len(arguments) != 3:
        raise _RefusedError(f"{_FUNCTION}() requires exactly 3 arguments, got {len(arguments)}")
    path = _path(arguments[0])
    if path not in _FIELDS:
        raise _RefusedError(f"unsupported field path {_quoted(path)}; supported: {', '.join(_FIELDS)}")
    begin, end = _hex(arguments[1], "hexStart"), _hex(arguments[2], "hexEnd")
    if int(begin, 16) >= int(end, 16):
        raise _RefusedError(f"shard range start {begin} must be less than end {end}")
    return _Bounds(path, int(begin, 16), int(end, 16))


def _path(node: _Node) -> str:
    if node.kind == _SELECT:
        return f"{_path(node.parts[0])}.{node.value}"
    if node.kind != _IDENT:
        expected = f"expected field path (e.g. object.metadata.uid), got expression kind {node.kind}"
        raise _RefusedError(f"{_FUNCTION}() first argument: {expected}")
    return str(node.value)


def _hex(node: _Node, name: str) -> str:
    if node.kind != _LITERAL:
        raise _RefusedError(f"{name} must be a string literal (e.g. '0xff'), got expression kind {node.kind}")
    text = node.value
    if isinstance(text, int):
        raise _RefusedError(f"{name} must be a string literal, got int64")
    if not text.startswith("0x"):
        raise _RefusedError(f"{name} must have '0x' prefix, got {_quoted(text)}")
    digits = text.removeprefix("0x")
    size = len(digits.encode())
    if not digits:
        raise _RefusedError(f"{name}: hex value is required after '0x'")
    if size > 17:
        raise _RefusedError(f"{name}: hex value too long ({size} chars, max 17): {_quoted(digits)}")
    if wrong := re.search("[^0-9a-f]", digits):
        raise _RefusedError(f"{name}: invalid hex character {_quoted(wrong[0])} in {_quoted(text)}")
    if size == 17 and text != _ALL:
        raise _RefusedError(f"{name}: 17-digit hex value must be '{_ALL}' (2^64), got {_quoted(text)}")
    if size < 16:
        meant = _quoted(f"0x{digits:0>16}")
        raise _RefusedError(
            f"{name} must be a 0x-prefixed 16-digit hex value, got {_quoted(text)} (did you mean {meant}?)"
        )
    return text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
