"""Who may see more than probes and metrics."""

from __future__ import annotations

import pytest

from aioinformers.integrations.access import Peer, is_local, require_allow


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080", "[::1]", "[::1]:8080"]
)
def test_who_is_on_this_machine(address: str, host: str) -> None:
    assert is_local(Peer(address, {"host": host}))


@pytest.mark.parametrize("address", ["", "unix", "127.0.0.6", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "0.0.0.0"])
def test_who_is_not(address: str) -> None:
    assert not is_local(Peer(address, {"host": "localhost"}))


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io:80", "[::1].evil", "localhost:evil"]
)
def test_pages_of_other_sites_that_a_browser_here_shows_may_not(host: str) -> None:
    assert not is_local(Peer("127.0.0.1", {"host": host}))
    assert not is_local(Peer("127.0.0.1", {}))


@pytest.mark.parametrize(
    "header",
    [
        "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-client-cert", "x-real-ip",
        "via", "x-envoy-internal", "cf-connecting-ip", "true-client-ip", "x-client-ip", "x-original-uri",
        "x-request-id",
    ],
)  # fmt: skip
def test_a_proxy_on_this_machine_may_not(header: str) -> None:
    assert not is_local(Peer("127.0.0.1", {"host": "localhost", header: "for=10.0.0.1"}))


@pytest.mark.parametrize(
    ("allow", "words"),
    [
        (None, "allow must be a function, not None"),
        ("10.0.0.0/8", "allow must be a function, not '10.0.0.0/8'"),
        (lambda: True, "allow is called with the peer; <lambda>\\(\\) does not take that"),
    ],
)
def test_what_cannot_tell_who_may_see_it_is_refused(allow: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        require_allow(allow)


def test_a_function_that_has_to_be_awaited_would_let_everybody_in() -> None:
    async def nobody(peer: Peer) -> bool:
        return False

    with pytest.raises(TypeError, match="allow is called without await"):
        require_allow(nobody)
