"""Words of servers and objects, as a terminal and a log may have them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.words import LONGEST, address_of, brief, printable

ODD = {
    "colours": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "title of the window": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "C1 control": ("\x9b2J", r"\x9b2J"),
    "delete": ("a\x7f", r"a\x7f"),
    "lines": ("one\r\ntwo\nthree\u2028four", "one  two three four"),
    "direction of writing": ("user\u202etxt.exe", r"user\u202etxt.exe"),
    "isolates": ("\u2066a\u2069", r"\u2066a\u2069"),
    "nothing to see": ("a\u200bb\ufeffc\U000e0041", r"a\u200bb\ufeffc\U000e0041"),
    "half a character": ("a\ud800", r"a\ud800"),
    "other languages": ("naïve – 東京 ✓ 🎉", "naïve – 東京 ✓ 🎉"),
}


@pytest.mark.parametrize("name", ODD)
def test_g16_a_terminal_is_given_no_orders(name: str) -> None:
    text, shown = ODD[name]
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_g16_whatever_a_text_is_it_can_be_printed_in_one_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert shown.encode().decode() == shown


@given(st.text(st.characters(), max_size=20), st.integers(1, 20))
def test_what_is_long_is_cut(text: str, longest: int) -> None:
    """Counting escapes; and only once: errors are made again from what they say when they are unpickled."""
    shown = brief(text, longest)
    assert len(shown) <= longest
    assert shown == printable(text) or shown.endswith("…")
    assert brief(shown, longest) == shown


def test_a_megabyte_is_cut_as_well() -> None:
    assert brief("short") == "short"
    assert brief("x" * 10, 4) == "xxx…"
    assert len(brief("\x00" * 10_000_000)) == LONGEST


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://10.0.0.1:6443", "10.0.0.1:6443"),
        ("https://cluster.example/base/path", "cluster.example:443"),
        ("http://localhost", "localhost:80"),
        ("https://[::1]:6443/", "[::1]:6443"),
        ("https://user:hunter2@cluster.example:6443", "cluster.example:6443"),
        ("https://user:hun@ter2@cluster.example", "cluster.example:443"),
        ("https://hunter2@cluster.example", "cluster.example:443"),
        ("https://user:hun/ter2@cluster.example", ""),
        ("https://hun/ter2@cluster.example", ""),
        ("https://hun#ter2@cluster.example", ""),
        ("https://hun?ter2@cluster.example", ""),
        ("", ""),
        ("cluster.example:6443", ""),
        ("http://", ""),
        ("http://[::1]:x", ""),
        ("http://[", ""),
        ("ftp://there", ""),
        ("https://there:99999", ""),
        (None, ""),
        (5, ""),
    ],
)
def test_g16_an_address_is_host_and_port_without_user_and_password(url: object, address: str) -> None:
    assert address_of(url) == address


@given(st.text())
def test_g16_whatever_stands_before_the_host_is_not_in_its_address(text: str) -> None:
    assert address_of(f"https://a{text}b:hunter2@there:1") in ("there:1", "")
