"""Records objects as a real kube-apiserver returns them, for the tests of models: ``python -m tools.record_objects``.

Each manifest in ``tests/data/recorded/manifests.yaml`` is created, its status is set if it has one, and what the
server then returns is stored beside it, one file per object. Of kinds without a manifest, of which the server has an
object by itself, that is stored.
"""

from __future__ import annotations

import json
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.kit.realserver import ADMIN_TOKEN, RealAPIServer, find_binaries

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "recorded"
SETTLE_SECONDS = 3.0
"""The server itself completes some objects a moment later: the conditions of a CustomResourceDefinition."""


class Recorder:
    """Talks to one server."""

    def __init__(self, server: RealAPIServer) -> None:
        self._url = server.url
        self._context = ssl.create_default_context(cafile=server.ca_file)
        self._resources: dict[tuple[str, str], dict[str, Any]] = {}

    def request(self, method: str, path: str, body: object = None, content: str = "application/json") -> Any:
        """Send one request and return the JSON of the answer."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._context) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")

    def discover(self) -> list[tuple[str, dict[str, Any]]]:
        """Return every resource that can be listed, with the path of its group and version."""
        groups = self.request("GET", "/apis")["groups"]
        roots = ["/api/v1", *(f"/apis/{version['groupVersion']}" for group in groups for version in group["versions"])]
        found = []
        for root in roots:
            for resource in self.request("GET", root)["resources"]:
                if "list" in resource["verbs"]:
                    self._resources[root, resource["kind"]] = resource
                    found.append((root, resource))
        return found

    def create(self, manifest: dict[str, Any]) -> tuple[str, str]:
        """Create an object; return its apiVersion and the path to it."""
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        resource = self._resources[root, manifest["kind"]]
        place = f"/namespaces/{metadata.setdefault('namespace', 'default')}" if resource["namespaced"] else ""
        collection = f"{root}{place}/{resource['name']}"
        self.request("POST", f"{collection}?fieldManager=recorder", manifest)
        path = f"{collection}/{metadata['name']}"
        if status := manifest.get("status"):
            merge = "application/merge-patch+json"
            self.request("PATCH", f"{path}/status?fieldManager=node", {"status": status}, merge)
        return version, path

    def existing(self, root: str, resource: dict[str, Any]) -> str | None:
        """Return the path to some object of a resource, if there is one."""
        items = self.request("GET", f"{root}/{resource['name']}?limit=1")["items"] or []
        for item in items:
            place = f"/namespaces/{item['metadata']['namespace']}" if resource["namespaced"] else ""
            return f"{root}{place}/{resource['name']}/{item['metadata']['name']}"
        return None

    def store(self, path: str) -> None:
        """Write what the server returns."""
        found = self.request("GET", path)
        group, _, version = found["apiVersion"].rpartition("/")
        name = ".".join(filter(None, (found["kind"].lower(), version, group)))
        (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Record everything anew."""
    for old in FOLDER.glob("*.json"):
        old.unlink()
    with RealAPIServer(find_binaries(), flags=["--runtime-config=api/all=true"]) as server:
        recorder = Recorder(server)
        resources = recorder.discover()
        manifests = list(yaml.safe_load_all((FOLDER / "manifests.yaml").read_text(encoding="utf-8")))
        created = [recorder.create(manifest) for manifest in manifests]
        time.sleep(SETTLE_SECONDS)
        for _, created_path in created:
            recorder.store(created_path)
        known = {(version, manifest["kind"]) for (version, _), manifest in zip(created, manifests, strict=True)}
        for root, resource in resources:
            version = root.removeprefix("/apis/").removeprefix("/api/")
            if (version, resource["kind"]) not in known and (path := recorder.existing(root, resource)):
                recorder.store(path)
    print(f"{len(list(FOLDER.glob('*.json')))} objects in {FOLDER}")


if __name__ == "__main__":
    main()
