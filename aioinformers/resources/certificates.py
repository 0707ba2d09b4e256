"""``certificates.k8s.io``: Requests for certificates, and bundles of trust anchors.

Generated from kubernetes_asyncio 36 by ``tools/generate_resources.py``: change that, not this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioinformers.resources._accessor import Accessor, Group, Version

if TYPE_CHECKING:
    from kubernetes_asyncio.client import (
        V1alpha1ClusterTrustBundle,
        V1beta1ClusterTrustBundle,
        V1beta1PodCertificateRequest,
        V1CertificateSigningRequest,
    )

__all__ = [
    "Certificates",
    "CertificatesV1",
    "CertificatesV1alpha1",
    "CertificatesV1beta1",
]


class CertificatesV1(
    Version,
    group="certificates.k8s.io",
    version="v1",
    cluster_scoped={"certificatesigningrequests", "clustertrustbundles"},
    untyped={"clustertrustbundles": "ClusterTrustBundle", "podcertificaterequests": "PodCertificateRequest"},
):
    """``certificates.k8s.io/v1``."""

    certificatesigningrequests: Accessor[V1CertificateSigningRequest]
    clustertrustbundles: Accessor[dict[str, Any]]
    podcertificaterequests: Accessor[dict[str, Any]]


class CertificatesV1beta1(
    Version,
    group="certificates.k8s.io",
    version="v1beta1",
    cluster_scoped={"certificatesigningrequests", "clustertrustbundles"},
    untyped={"certificatesigningrequests": "CertificateSigningRequest"},
):
    """``certificates.k8s.io/v1beta1``."""

    certificatesigningrequests: Accessor[dict[str, Any]]
    clustertrustbundles: Accessor[V1beta1ClusterTrustBundle]
    podcertificaterequests: Accessor[V1beta1PodCertificateRequest]


class CertificatesV1alpha1(
    Version,
    group="certificates.k8s.io",
    version="v1alpha1",
    cluster_scoped={"clustertrustbundles"},
    untyped={"podcertificaterequests": "PodCertificateRequest"},
):
    """``certificates.k8s.io/v1alpha1``."""

    clustertrustbundles: Accessor[V1alpha1ClusterTrustBundle]
    podcertificaterequests: Accessor[dict[str, Any]]


class Certificates(Group, versions=(CertificatesV1, CertificatesV1beta1, CertificatesV1alpha1)):
    """The versions of ``certificates.k8s.io``."""

    v1: CertificatesV1
    v1beta1: CertificatesV1beta1
    v1alpha1: CertificatesV1alpha1
