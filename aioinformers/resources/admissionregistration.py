"""``admissionregistration.k8s.io``: Webhooks and policies that judge requests to the API server.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import (
        V1alpha1MutatingAdmissionPolicy,
        V1alpha1MutatingAdmissionPolicyBinding,
        V1beta1MutatingAdmissionPolicy,
        V1beta1MutatingAdmissionPolicyBinding,
        V1MutatingAdmissionPolicy,
        V1MutatingAdmissionPolicyBinding,
        V1MutatingWebhookConfiguration,
        V1ValidatingAdmissionPolicy,
        V1ValidatingAdmissionPolicyBinding,
        V1ValidatingWebhookConfiguration,
    )

__all__ = [
    "Admissionregistration",
    "AdmissionregistrationV1",
    "AdmissionregistrationV1alpha1",
    "AdmissionregistrationV1beta1",
]


class AdmissionregistrationV1(
    Version,
    group="admissionregistration.k8s.io",
    version="v1",
    cluster_scoped={
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    },
):
    """``admissionregistration.k8s.io/v1``."""

    mutatingadmissionpolicies: Accessor[V1MutatingAdmissionPolicy]
    mutatingadmissionpolicybindings: Accessor[V1MutatingAdmissionPolicyBinding]
    mutatingwebhookconfigurations: Accessor[V1MutatingWebhookConfiguration]
    validatingadmissionpolicies: Accessor[V1ValidatingAdmissionPolicy]
    validatingadmissionpolicybindings: Accessor[V1ValidatingAdmissionPolicyBinding]
    validatingwebhookconfigurations: Accessor[V1ValidatingWebhookConfiguration]


class AdmissionregistrationV1beta1(
    Version,
    group="admissionregistration.k8s.io",
    version="v1beta1",
    cluster_scoped={
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    },
    untyped={
        "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
        "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
        "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding",
        "validatingwebhookconfigurations": "ValidatingWebhookConfiguration",
    },
):
    """``admissionregistration.k8s.io/v1beta1``."""

    mutatingadmissionpolicies: Accessor[V1beta1MutatingAdmissionPolicy]
    mutatingadmissionpolicybindings: Accessor[V1beta1MutatingAdmissionPolicyBinding]
    mutatingwebhookconfigurations: Accessor[dict[str, Any]]
    validatingadmissionpolicies: Accessor[dict[str, Any]]
    validatingadmissionpolicybindings: Accessor[dict[str, Any]]
    validatingwebhookconfigurations: Accessor[dict[str, Any]]


class AdmissionregistrationV1alpha1(
    Version,
    group="admissionregistration.k8s.io",
    version="v1alpha1",
    cluster_scoped={
        "externaladmissionhookconfigurations",
        "initializerconfigurations",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
    },
    untyped={
        "externaladmissionhookconfigurations": "ExternalAdmissionHookConfiguration",
        "initializerconfigurations": "InitializerConfiguration",
        "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
        "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding",
    },
):
    """``admissionregistration.k8s.io/v1alpha1``."""

    externaladmissionhookconfigurations: Accessor[dict[str, Any]]
    initializerconfigurations: Accessor[dict[str, Any]]
    mutatingadmissionpolicies: Accessor[V1alpha1MutatingAdmissionPolicy]
    mutatingadmissionpolicybindings: Accessor[V1alpha1MutatingAdmissionPolicyBinding]
    validatingadmissionpolicies: Accessor[dict[str, Any]]
    validatingadmissionpolicybindings: Accessor[dict[str, Any]]


class Admissionregistration(
    Group,
    versions=(AdmissionregistrationV1, AdmissionregistrationV1beta1, AdmissionregistrationV1alpha1),
):
    """The versions of ``admissionregistration.k8s.io``."""

    v1: AdmissionregistrationV1
    v1beta1: AdmissionregistrationV1beta1
    v1alpha1: AdmissionregistrationV1alpha1
