"""The user's API client, and what is none."""

from __future__ import annotations

import sys
from typing import Any

import kubernetes
import pytest
from kubernetes import aio
from kubernetes_asyncio import client

from aioinformers import SharedInformerFactory
from aioinformers.transport.adapter import ClientAdapter

RIGHT = "api_client must be an ApiClient of kubernetes_asyncio.client or of kubernetes.aio.client; "


async def test_both_asyncio_clients_are_clients() -> None:
    async with client.ApiClient() as one, aio.client.ApiClient() as other:
        assert ClientAdapter(one).api_client is one
        assert ClientAdapter(other).api_client is other


async def test_the_synchronous_client_is_refused_at_once() -> None:
    for make in (ClientAdapter, SharedInformerFactory):
        with pytest.raises(TypeError) as caught:
            make(kubernetes.client.ApiClient())
        assert str(caught.value) == RIGHT + "that of kubernetes is synchronous: none of its requests can be awaited"


async def test_what_a_user_gives_instead_is_named_and_what_to_do() -> None:
    async with client.ApiClient() as api:
        odd: list[tuple[Any, str]] = [
            (client.ApiClient, "kubernetes_asyncio.client.api_client.ApiClient is a class: make an object of it"),
            (client.CoreV1Api(api), "CoreV1Api has one: give its api_client"),
            (client.Configuration(), "Configuration is what one is made of: ApiClient(configuration)"),
            (None, "NoneType is something else"),
            ("https://127.0.0.1", "str is something else"),
            (sys, "module is something else"),
        ]
        for given, words in odd:
            with pytest.raises(TypeError) as caught:
                ClientAdapter(given)
            assert str(caught.value) == RIGHT + words
