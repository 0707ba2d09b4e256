"""Where a redirected request goes, and with what."""

from __future__ import annotations

import pytest

from aioinformers.errors import ResponseError
from aioinformers.transport.adapter import Prepared
from aioinformers.transport.redirects import redirected

HEADERS = {
    "Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "me", "Authorization": "Bearer secret",
    "Cookie": "secret", "X-Remote-User": "admin", "Impersonate-User": "admin",
}  # fmt: skip
REQUEST = Prepared("https://api.example:6443/api/v1/pods?watch=true", HEADERS, 3)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/k8s/api/v1/pods?watch=true", "https://api.example:6443/k8s/api/v1/pods?watch=true"),
        ("https://api.example:6443/other", "https://api.example:6443/other"),
        ("https://API.example:6443/other", "https://API.example:6443/other"),
        ("//api.example:6443/x", "https://api.example:6443/x"),
    ],
)
def test_within_the_origin_everything_is_sent_along(location: str, url: str) -> None:
    following = redirected(REQUEST, location)
    assert following == Prepared(url, HEADERS, 3, "api.example:6443")


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("https://login.example/", "login.example:443"),
        ("https://api.example/", "api.example:443"),
        ("https://api.example:6444/", "api.example:6444"),
        ("//10.0.0.1:6443/", "10.0.0.1:6443"),
        ("https://other.example/a@b?c=d@e", "other.example:443"),
    ],
)
def test_g16_credentials_never_go_to_another_origin(location: str, there: str) -> None:
    following = redirected(REQUEST, location)
    assert following.headers == {name: HEADERS[name] for name in ("Accept", "Accept-Encoding", "User-Agent")}
    assert following.is_elsewhere
    assert following.redirected_to == there


def test_the_usual_port_is_the_same_origin() -> None:
    request = Prepared("https://api.example/api", HEADERS)
    assert not redirected(request, "https://api.example:443/x").is_elsewhere


@pytest.mark.parametrize(
    "location", [None, "", "https://[::1", "ftp://other.example/", "ws://api.example/", "mailto:me@x"]
)
def test_an_address_that_is_none_is_refused(location: str | None) -> None:
    with pytest.raises(ResponseError, match=r"^api\.example:6443 redirects the request, and does not say where to$"):
        redirected(REQUEST, location)


def test_g16_a_redirect_to_no_tls_is_not_followed() -> None:
    with pytest.raises(ResponseError, match=r"redirects the request to api.example:80 without TLS: it is not followed"):
        redirected(REQUEST, "http://api.example/")


def test_a_redirect_to_itself_is_not_followed() -> None:
    with pytest.raises(ResponseError, match=r"^api\.example:6443 redirects the request to itself$"):
        redirected(REQUEST, "?watch=true")


def test_g16_no_password_of_an_address_is_quoted() -> None:
    request = Prepared("https://me:secret@api.example/api", HEADERS)
    with pytest.raises(ResponseError) as caught:
        redirected(request, "http://you:secret@other.example/")
    assert "secret" not in str(caught.value)
