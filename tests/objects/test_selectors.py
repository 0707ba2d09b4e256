"""Label and field selectors, without loop or socket."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.errors import InvalidSelectorError
from aioinformers.objects.selectors import (
    FieldRequirement,
    FieldSelector,
    LabelRequirement,
    LabelSelector,
    Operator,
    parse_field_selector,
    parse_label_selector,
)

WEB = {"app": "web", "tier": "a", "empty": "", "n": "5"}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (" \t\r\n", ""),
        ("app", "app"),
        ("!app", "!app"),
        ("! app", "!app"),
        ("app=web", "app=web"),
        ("app == web", "app=web"),
        ("app!=web", "app!=web"),
        ("app in (web)", "app=web"),
        ("app notin(web)", "app!=web"),
        ("app in (b , a,b)", "app in (a,b)"),
        ("app notin (,a)", "app notin (,a)"),
        ("app in (a,,b)", "app in (,a,b)"),
        ("app in ()", "app="),
        ("app in (,)", "app="),
        ("app=", "app="),
        ("app=,b", "app=,b"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin", "notin"),
        ("n>1,n<010", "n<10,n>1"),
        ("b=1,a=1,b=1", "a=1,b=1"),
        ("app.kubernetes.io/name=web", "app.kubernetes.io/name=web"),
        ("x" * 63 + "=" + "y" * 63, "x" * 63 + "=" + "y" * 63),
    ],
)
def test_a_label_selector_has_one_canonical_text(text: str, canonical: str) -> None:
    """Every spelling parses, and its normal form parses to an equal selector."""
    selector = parse_label_selector(text)
    assert str(selector) == canonical
    assert parse_label_selector(canonical) == selector
    assert hash(parse_label_selector(canonical)) == hash(selector)


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("a=b,", 4, "found the end, expected a label key or '!'"),
        (",a", 0, "found ',', expected a label key or '!'"),
        ("a,,b", 2, "found ',', expected a label key"),
        ("!", 1, "found the end, expected a label key"),
        ("!a=b", 2, "found '=', expected ',' or the end"),
        ("!!a", 1, "found '!', expected a label key"),
        ("a b", 2, "found 'b', expected ',' or one of =, ==, !=, in, notin, >, <"),
        ("a=b c", 4, "found 'c', expected ',' or the end"),
        ("a=(", 2, "found '(', expected a value"),
        ("a===b", 3, "found '=', expected a value"),
        ("a>=1", 2, "found '=', expected a value"),
        ("a>x", 2, "expected an integer"),
        ("a<", 2, "found the end, expected an integer"),
        ("a>99999999999999999999", 2, "expected an integer of 64 bits"),
        ("a in b", 5, "found 'b', expected '('"),
        ("a in", 4, "found the end, expected '('"),
        ("a in (b", 7, "found the end, expected ',' or ')'"),
        ("a in (b c)", 8, "found 'c', expected ',' or ')'"),
        ("a in (b,(", 8, "found '(', expected a value"),
        ("ok,-a", 3, "'-a' is not a label key"),
        ("a_", 0, "'a_' is not a label key"),
        ("é", 0, "is not a label key"),
        ("/a", 0, "prefix of the key '/a' is not a DNS subdomain"),
        ("A/b", 0, "prefix of the key 'A/b' is not a DNS subdomain"),
        ("a/b/c", 0, "prefix"),
        ("a/", 0, "'a/' is not a label key"),
        ("x" * 254 + "/a", 0, "at most 253 characters"),
        ("a/" + "x" * 64, 0, "has 64 characters, at most 63"),
        ("a = " + "x" * 64, 4, "at most 63 characters, this one 64"),
        ("a=-b", 2, "'-b' is not a label value"),
        ("app='web'", 4, "is not a label value"),
    ],
)
def test_a_bad_label_selector_says_where_and_why(text: str, position: int, problem: str) -> None:
    """The error carries the text, the offset of the fault and what was expected."""
    with pytest.raises(InvalidSelectorError) as caught:
        parse_label_selector(text)
    assert caught.value.selector == text
    assert caught.value.position == position
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", None, True),
        ("", WEB, True),
        ("app", WEB, True),
        ("other", WEB, False),
        ("empty", WEB, True),
        ("empty=", WEB, True),
        ("other=", WEB, False),
        ("!app", WEB, False),
        ("!other", WEB, True),
        ("app=web", WEB, True),
        ("app=web", None, False),
        ("app=api", WEB, False),
        ("app!=web", WEB, False),
        ("app!=api", WEB, True),
        ("other!=x", WEB, True),
        ("other!=", WEB, True),
        ("other!=x", None, True),
        ("app in (api,web)", WEB, True),
        ("app in (api,ui)", WEB, False),
        ("other in (,x)", WEB, False),
        ("empty in (,x)", WEB, True),
        ("app notin (api,web)", WEB, False),
        ("app notin (api,ui)", WEB, True),
        ("other notin (api,ui)", WEB, True),
        ("n>4,n<6", WEB, True),
        ("n>5", WEB, False),
        ("n<5", WEB, False),
        ("app>1", WEB, False),
        ("other<1", WEB, False),
        ("n<1", {"n": "-5"}, True),
        ("n>1", {"n": "1_0"}, False),
        ("n>1", {"n": "9" * 20}, False),
        ("n>1", {"n": "9" * 5000}, False),
        ("app=web,tier=b", WEB, False),
        ("app=web,tier in (a,b),!canary", WEB, True),
        ("app=web,app=api", WEB, False),
    ],
)
def test_labels_match_as_on_the_server(text: str, labels: dict[str, str] | None, expected: bool) -> None:
    """An absent key meets `!=`, `notin` and `!key`, and nothing else."""
    assert parse_label_selector(text).matches(labels) is expected


def test_selectors_are_values() -> None:
    """Frozen, hashable, parsed once, and they survive copies and pickles."""
    selector = parse_label_selector("b,a=1")
    assert parse_label_selector("b,a=1") is selector
    assert {selector: 1}[parse_label_selector("a==1,b")] == 1
    assert pickle.loads(pickle.dumps(selector)) == selector
    assert copy.deepcopy(selector).matches({"a": "1", "b": ""})
    assert repr(selector) == f"LabelSelector(requirements={selector.requirements!r})"
    assert not selector.is_empty
    assert parse_label_selector(" ").is_empty
    with pytest.raises(AttributeError):
        selector.requirements = ()  # type: ignore[misc]  # what the test is about


@pytest.mark.parametrize("parse", [parse_label_selector, parse_field_selector])
def test_only_text_is_a_selector(parse: Callable[[Any], object]) -> None:
    """The selectors of other clients (dicts, None) are refused with an example."""
    with pytest.raises(TypeError, match=r"text such as '.*', not dict"):
        parse({"app": "web"})


WORDS = st.sampled_from(["a", "b", "c", "in", "notin", "example.com/a", "A-1_x.y"])
VALUES = st.sampled_from(["", "a", "b", "in", "notin", "1", "7", "07", "x_1"])
BLANKS = st.sampled_from(["", " ", "\t", "\r\n "])
LABELS = st.none() | st.dictionaries(WORDS, VALUES, max_size=4)
Oracle = Callable[[Mapping[str, str]], bool]


def _number(labels: Mapping[str, str], key: str) -> int | None:
    value = labels.get(key, "")
    return int(value) if value.isdigit() else None


@st.composite
def requirements(draw: st.DrawFn) -> tuple[str, Oracle]:
    """Draw a requirement as text with any blanks, and the naive judgement of it."""
    key = draw(WORDS)
    before, after = draw(BLANKS), draw(BLANKS)
    kind = draw(st.sampled_from(["exists", "!", "=", "==", "!=", "in", "notin", ">", "<"]))
    if kind == "exists":
        return f"{before}{key}{after}", lambda labels: key in labels
    if kind == "!":
        return f"{before}!{after}{key}", lambda labels: key not in labels
    if kind in ("in", "notin"):
        values = draw(st.lists(VALUES, min_size=1, max_size=4))
        listing = ",".join(f"{before}{value}{after}" for value in values)
        text = f"{key} {kind}{before}({listing}){after}"
        if kind == "in":
            return text, lambda labels: key in labels and labels[key] in values
        return text, lambda labels: key not in labels or labels[key] not in values
    if kind in ("<", ">"):
        bound = draw(st.integers(0, 9))
        text = f"{before}{key}{after}{kind}{before}{bound}"
        if kind == "<":
            return text, lambda labels: (number := _number(labels, key)) is not None and number < bound
        return text, lambda labels: (number := _number(labels, key)) is not None and number > bound
    value = draw(VALUES)
    text = f"{before}{key}{after}{kind}{before}{value}{after}"
    if kind == "!=":
        return text, lambda labels: key not in labels or labels[key] != value
    return text, lambda labels: key in labels and labels[key] == value


@given(st.lists(requirements(), max_size=4), st.lists(LABELS, max_size=8))
def test_any_selector_matches_as_a_naive_oracle_and_survives_its_text(
    drawn: list[tuple[str, Oracle]], label_sets: list[dict[str, str] | None]
) -> None:
    """Parsing, normalising and matching agree with judging each requirement as it was meant."""
    selector = parse_label_selector(",".join(text for text, _ in drawn))
    assert parse_label_selector(str(selector)) == selector
    for labels in label_sets:
        expected = all(oracle(labels or {}) for _, oracle in drawn)
        assert selector.matches(labels) is expected


@given(st.lists(requirements(), min_size=1, max_size=4), st.randoms())
def test_order_does_not_matter(drawn: list[tuple[str, Oracle]], random: Any) -> None:
    """Permuted and repeated requirements give the same selector."""
    texts = [text for text, _ in drawn]
    shuffled = [*texts, texts[0]]
    random.shuffle(shuffled)
    assert parse_label_selector(",".join(shuffled)) == parse_label_selector(",".join(texts))


@given(st.text(alphabet="ab1=!<>(), \tnotin/.-_é", max_size=20))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text raises anything but InvalidSelectorError, and the position lies within it."""
    try:
        selector = parse_label_selector(text)
    except InvalidSelectorError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert parse_label_selector(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "expected", "canonical"),
    [
        ("", (), ""),
        (",", (), ""),
        ("metadata.name=web", (("metadata.name", "=", "web"),), "metadata.name=web"),
        ("b==1,,a!=2,", (("a", "!=", "2"), ("b", "=", "1")), "a!=2,b=1"),
        ("a=", (("a", "=", ""),), "a="),
        ("a= x", (("a", "=", " x"),), "a= x"),
        (r"a=x\,y\=\\z", (("a", "=", r"x,y=\z"),), r"a=x\,y\=\\z"),
        ("b=1,a=1,b==1", (("a", "=", "1"), ("b", "=", "1")), "a=1,b=1"),
        ("a=!", (("a", "=", "!"),), "a=!"),
    ],
)
def test_a_field_selector_has_one_canonical_text(text: str, expected: Any, canonical: str) -> None:
    """Requirements are unescaped, sorted and unique; the canonical text escapes them again."""
    selector = parse_field_selector(text)
    assert selector.requirements == expected
    assert str(selector) == canonical
    assert parse_field_selector(canonical) == selector


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("a=b,c", 4, "found 'c', expected a field"),
        ("=b", 0, "'' is not a field"),
        ("a=b, c=d", 4, "' c' is not a field: expected one such as 'metadata.name', without blanks"),
        (r"a\=b", 0, "is not a field"),
        ("a=b=c", 3, "unexpected '=' in a value"),
        (r"a=b\c", 3, "unexpected '\\\\' in a value"),
        ("a=b\\", 3, "unexpected '\\\\' in a value"),
    ],
)
def test_a_bad_field_selector_says_where_and_why(text: str, position: int, problem: str) -> None:
    """The error carries the text, the offset of the fault and what was expected."""
    with pytest.raises(InvalidSelectorError) as caught:
        parse_field_selector(text)
    assert (caught.value.selector, caught.value.position) == (text, position)
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("metadata.name=web", True),
        ("metadata.name!=web", False),
        ("metadata.namespace=prod,metadata.name=web", True),
        ("metadata.namespace!=prod", False),
        ("metadata.namespace=test", False),
        ("metadata.namespace!=test,metadata.name!=api", True),
    ],
)
def test_name_and_namespace_match_on_the_cache(text: str, expected: bool) -> None:
    """Both fields, both operators."""
    assert parse_field_selector(text).require_cacheable().matches("prod", "web") is expected


def test_other_fields_are_refused_on_the_cache() -> None:
    """The error names the field, where it stands in the canonical text, and what to do instead."""
    selector = parse_field_selector("status.phase=Running,metadata.name=web")
    with pytest.raises(InvalidSelectorError, match=r"not 'status\.phase': send others to the server") as caught:
        selector.require_cacheable()
    assert caught.value.position == len("metadata.name=web,")
    with pytest.raises(InvalidSelectorError, match="add an index"):
        selector.matches("prod", "web")


PATHS = st.sampled_from(["metadata.name", "metadata.namespace", "spec.nodeName", "a!b"])
FIELD_VALUES = st.text(alphabet="ab\\,=! é", max_size=6)
FIELDS = st.builds(FieldRequirement, PATHS, st.sampled_from([Operator.EQUALS, Operator.NOT_EQUALS]), FIELD_VALUES)


@given(st.lists(FIELDS, max_size=4))
def test_any_field_selector_survives_its_text(drawn: list[FieldRequirement]) -> None:
    """Escaping and unescaping are inverse for any value."""
    selector = FieldSelector(tuple(sorted(set(drawn))))
    assert parse_field_selector(str(selector)) == selector
    assert parse_field_selector(",".join(map(str, reversed(drawn)))) == selector


def test_a_selector_can_be_built_from_requirements() -> None:
    """What the parser does is public values, nothing hidden."""
    built = LabelSelector((LabelRequirement("app", Operator.EQUALS, ("web",)), LabelRequirement("x", Operator.EXISTS)))
    assert built == parse_label_selector("x,app=web")
    assert built.matches({"app": "web", "x": ""})
