"""An operator: each Website gets a Deployment, which goes with it, and says in its status how that is.

Install the definition (``kubectl apply -f examples/website.yaml``), then run it with a kubeconfig at hand, or in a Pod,
as many replicas as you like, of which one works::

    python examples/operator.py

What is about websites is in ``deployment_for``, ``website`` and ``remove``; what makes an operator of it, in ``main``.
"""

from __future__ import annotations

import os
import sys

# The name of this file is that of a module of Python's, which others import.
sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]

from typing import Any

import msgspec

import aioinformers
from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller, Request, Requeue, run, set_condition
from aioinformers.coordination import LeaderElection

# -- websites -----------------------------------------------------------------------------------------------------


class Spec(msgspec.Struct, frozen=True):
    image: str
    replicas: int = 1


class Metadata(msgspec.Struct, frozen=True):
    name: str
    generation: int = 0


class Status(msgspec.Struct, frozen=True):
    conditions: list[dict[str, Any]] = []


class Website(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: Spec
    status: Status = Status()


def deployment_for(site: Website) -> dict[str, object]:
    """Return what a website is to have; the controller adds the owner."""
    labels = {"website": site.metadata.name}
    containers = [{"name": "web", "image": site.spec.image, "ports": [{"containerPort": 80}]}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": site.metadata.name, "labels": labels},
        "spec": {
            "replicas": site.spec.replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


async def website(request: Request[Website]) -> Requeue | None:
    """Make a website what it should be."""
    site = request.object
    deployment = await request.apply(deployment_for(site))
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    words, generation = f"{ready} of {site.spec.replicas} replicas", site.metadata.generation
    is_ready = ready >= site.spec.replicas
    conditions = set_condition(site.status.conditions, "Ready", is_ready, "Deployed", words, generation)
    await request.patch_status({"readyReplicas": ready, "conditions": conditions})
    return None


async def remove(request: Request[Website]) -> None:
    """Undo what is not in the cluster, such as a name in the DNS; the Deployment goes by itself."""
    request.log.info("is removed")


# -- the operator -------------------------------------------------------------------------------------------------


async def main() -> None:
    async with aioinformers.connect() as api:
        factory = SharedInformerFactory(api)
        websites = factory.for_resource("websites.v1.example.com", object_type=Website)
        controller = Controller(websites, reconcile=website, finalizer="example.com/website")
        controller.owns(factory.apps.v1.deployments())
        controller.cleanup(remove)
        election = LeaderElection(api, "website-operator", namespace=os.environ.get("POD_NAMESPACE", "default"))
        async with factory, controller.running(election=election):
            await controller.wait_closed()


if __name__ == "__main__":
    # In a Pod STATUS is 0.0.0.0:8080, where probes and Prometheus ask; without it nothing listens.
    run(main, status=os.environ.get("STATUS"))
