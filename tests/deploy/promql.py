"""As much of PromQL as it takes to know which metrics and labels an expression names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Named", "names_of"]

_TOKEN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<string>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*')
    | (?P<range>\[[^\]]*\])
    | (?P<number>\d+(?:\.\d+)?(?:ms|[smhdwy])?)
    | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<operator>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},@])
    """,
    re.VERBOSE,
)
_SETS: Final = {"and", "or", "unless", "bool", "offset", "group_left", "group_right"}
_LISTS: Final = {"by", "without", "on", "ignoring"}


@dataclass
class Named:
    """What an expression names.

    Attributes:
        metrics: Metrics.
        labels: Labels.
    """

    metrics: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


def names_of(expression: str) -> Named:
    """Return what an expression names.

    Raises:
        ValueError: If it is none, as far as that can be seen: what is unknown, or brackets that do not match.
    """
    tokens = _tokens_of(expression)
    found, open_brackets, is_list = Named(), list[str](), False
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else ""
        within = open_brackets[-1] if open_brackets else ""
        if token in "({":
            open_brackets.append("list" if is_list else token)
            is_list = False
        elif token in ")}":
            if not open_brackets or (open_brackets.pop() == "{") is not (token == "}"):
                raise ValueError(f"brackets do not match: {expression}")
        elif token in _LISTS:
            is_list = True
        elif token[0].isalpha() or token[0] == "_":
            if within in ("{", "list"):
                found.labels.add(token)
            elif after != "(" and after not in _LISTS and token not in _SETS:
                found.metrics.add(token)
    if open_brackets:
        raise ValueError(f"brackets do not match: {expression}")
    return found


def _tokens_of(expression: str) -> list[str]:
    tokens, at = [], 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ValueError(f"{expression[at : at + 10]!r} is no PromQL, in {expression}")
        if match.lastgroup in ("name", "operator"):
            tokens.append(match[0])
        at = match.end()
    return tokens
