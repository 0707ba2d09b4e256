"""A raw HTTP client for the conformance tests: it hides nothing of what the server answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from tests.kit.fixtures import APIServer

MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def version(self) -> str:
        """The object's or list's resourceVersion."""
        version: str = self.json["metadata"]["resourceVersion"]
        return version


@dataclass(frozen=True)
class WatchEvent:
    """A line of a watch."""

    line: bytes

    @property
    def type(self) -> str:
        kind: str = json.loads(self.line)["type"]
        return kind

    @property
    def object(self) -> dict[str, Any]:
        obj: dict[str, Any] = json.loads(self.line)["object"]
        return obj

    @property
    def name(self) -> str:
        name: str = self.object["metadata"].get("name", "")
        return name

    @property
    def version(self) -> str:
        version: str = self.object["metadata"]["resourceVersion"]
        return version


class Rest:
    """Requests to one server, most of them in a namespace of their own."""

    def __init__(self, session: aiohttp.ClientSession, url: str, ssl_context: ssl.SSLContext | None) -> None:
        self.session = session
        self.url = url
        self.ssl: ssl.SSLContext | bool = ssl_context or True
        self.namespace = f"t-{uuid.uuid4().hex[:12]}"

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, server: APIServer) -> AsyncIterator[Self]:
        configuration = server.configuration()
        context = None
        if configuration.ssl_ca_cert:
            context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        token = await configuration.get_api_key_with_prefix("BearerToken")
        headers = {"User-Agent": "aioinformers-tests"} | ({"Authorization": token} if token else {})
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=120)) as session:
            rest = cls(session, server.url, context)
            made = await rest.post("/api/v1/namespaces", {"metadata": {"name": rest.namespace}})
            assert made.status == 201
            yield rest

    def path(self, plural: str, *rest: str, group: str = "") -> str:
        """The path of a resource in the test's namespace."""
        prefix = f"/apis/{group}" if group else "/api/v1"
        return "/".join([prefix, "namespaces", self.namespace, plural, *rest])

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        sent = {"Content-Type": content_type, "Accept-Encoding": "identity", **(headers or {})}
        async with self.session.request(
            method, self.url + path, data=data, headers=sent, params=query, ssl=self.ssl
        ) as response:
            return Answer(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, query: Mapping[str, str] | None = None, **more: str) -> Answer:
        return await self.request("GET", path, query={**(query or {}), **more})

    async def post(self, path: str, body: Any) -> Answer:
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Any) -> Answer:
        return await self.request("PUT", path, body)

    async def patch(self, path: str, body: Any, content_type: str = MERGE_PATCH) -> Answer:
        return await self.request("PATCH", path, body, content_type=content_type)

    async def delete(self, path: str, body: Any = None) -> Answer:
        return await self.request("DELETE", path, body)

    async def watch(
        self, path: str, query: Mapping[str, str] | None = None, *, timeout: int = 1, **more: str
    ) -> list[WatchEvent]:
        """Watch until the server ends it, which must be a clean end."""
        answer = await self.get(path, query, watch="true", timeoutSeconds=str(timeout), **more)
        assert answer.status == 200, answer.body
        return [WatchEvent(line) for line in answer.body.splitlines(keepends=True)]

    async def caught_up(self, answer: Answer, plural: str = "configmaps", group: str = "") -> None:
        """Wait until reads with resourceVersion=0, which may be stale, have reached a write."""
        await self.get(self.path(plural, group=group), resourceVersion=answer.version)

    async def configmap(self, name: str, *, data: str = "v", **labels: str) -> Answer:
        """Create a ConfigMap."""
        obj = {"metadata": {"name": name, "labels": labels}, "data": {"k": data}}
        made = await self.post(self.path("configmaps"), obj)
        assert made.status == 201, made.body
        return made

    async def custom_resource(self) -> str:
        """Create a CustomResourceDefinition of Widgets; return its group and version once it is served."""
        group = f"{uuid.uuid4().hex[:8]}.example.com"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {
            "name": "v1",
            "served": True,
            "storage": True,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": schema},
        }
        names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]}
        crd = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"widgets.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        }
        made = await self.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        assert made.status == 201, made.body
        async with asyncio.timeout(60):
            while (await self.get(f"/apis/{group}/v1/widgets")).status != 200:
                await asyncio.sleep(0.05)
        return f"{group}/v1"

    async def widget(self, group_version: str, name: str, **fields: Any) -> Answer:
        """Create a Widget."""
        obj = {"apiVersion": group_version, "kind": "Widget", "metadata": {"name": name}, **fields}
        made = await self.post(self.path("widgets", group=group_version), obj)
        assert made.status == 201, made.body
        return made
