"""Finds a cluster as kubectl does, and reads what its kubeconfig says of it.

Looks at files and the environment, makes no request and knows no event loop. No message quotes a value of a user.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from aioinformers.errors import ConfigurationError
from aioinformers.transport.plugins import ExecPlugin
from aioinformers.words import brief

__all__ = ["AuthProvider", "Cluster", "FoundCluster", "User", "find_cluster"]

T = TypeVar("T")

DEFAULT: Final = "~/.kube/config"
EXEC_EXTENSION: Final = "client.authentication.k8s.io/exec"
"""Name of the extension of a cluster that plug-ins are told."""
_POD_HOST: Final = "KUBERNETES_SERVICE_HOST"


class _Extension(msgspec.Struct, frozen=True):
    name: str
    extension: Any = None


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    """The section of a cluster: where it is, and how it proves that. Paths are absolute."""

    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    extensions: list[_Extension] | None = None

    @property
    def exec_extension(self) -> Any:
        """What plug-ins are told besides; None for nothing."""
        return next((each.extension for each in self.extensions or () if each.name == EXEC_EXTENSION), None)


class AuthProvider(msgspec.Struct, frozen=True):
    """The old way of users to log in."""

    name: str
    config: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


class User(msgspec.Struct, frozen=True, rename="kebab"):
    """The section of a user: who one is, and how one proves that. Paths are absolute."""

    token: str = ""
    token_file: str = msgspec.field(name="tokenFile", default="")
    username: str = ""
    password: str = ""
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    exec: ExecPlugin | None = None
    auth_provider: AuthProvider | None = None
    impersonated_user: str = msgspec.field(name="as", default="")
    impersonated_uid: str = msgspec.field(name="as-uid", default="")
    impersonated_groups: list[str] | None = msgspec.field(name="as-groups", default=None)
    impersonated_extra: dict[str, list[str]] | None = msgspec.field(name="as-user-extra", default=None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # nothing here is for logs


@dataclass(frozen=True, slots=True)
class FoundCluster:
    """A cluster, the way to it and its user.

    Attributes:
        origin: Where it was found, in words.
        files: The kubeconfigs; empty in a Pod.
        context: The context; empty in a Pod.
        namespace: The default namespace.
        cluster: Where it is.
        user: Who asks.
    """

    origin: str
    files: tuple[str, ...]
    context: str
    namespace: str
    cluster: Cluster
    user: User

    def read_again(self) -> FoundCluster:
        """Return what the same files say now of the same context; this, if one is gone or a pipe.

        Raises:
            ConfigurationError: If they do not say it any more.
        """
        return _read(self.files, self.context) if self.files and all(map(os.path.isfile, self.files)) else self


def find_cluster(kubeconfig: str | os.PathLike[str] | None = None, context: str | None = None) -> FoundCluster:
    """Return the cluster of a kubeconfig that is named, else of those in ``KUBECONFIG``, else of ``~/.kube/config``.

    If there is none, and no context is named, it is the one that this Pod runs in, with its service account.

    Args:
        kubeconfig: Path of a kubeconfig.
        context: Name of a context; None for the current one.

    Raises:
        ConfigurationError: If there is no cluster, or the configuration cannot be used; it says where was looked.
    """
    if kubeconfig is not None:
        path = os.path.expanduser(os.fspath(kubeconfig))
        if os.path.isdir(path):
            raise ConfigurationError(f"the kubeconfig {brief(path)} is a folder")
        if not os.path.exists(path):  # it may be a pipe
            raise ConfigurationError(f"there is no kubeconfig at {brief(path)}")
        return _read((os.path.abspath(path),), context)
    named = os.environ.get("KUBECONFIG", "")
    paths = [os.path.expanduser(path) for path in (named or DEFAULT).split(os.pathsep) if path]
    # As for kubectl, some of them may not exist, and one that is empty (/dev/null) is one without clusters.
    files = tuple(os.path.abspath(path) for path in paths if os.path.isfile(path) and os.path.getsize(path))
    if files:
        return _read(files, context)
    tried = [f"KUBECONFIG ({brief(named)}) names no kubeconfig that exists"] if named else []
    if not named:
        tried = ["KUBECONFIG is not set", f"{DEFAULT} {'is empty' if os.path.exists(paths[0]) else 'does not exist'}"]
    if context is not None:
        raise ConfigurationError(f"no kubeconfig with the context {brief(context, 100)!r}: {'; '.join(tried)}")
    if not os.environ.get(_POD_HOST):
        tried.append(f"this is no Pod ({_POD_HOST} is not set)")
        raise ConfigurationError(f"no cluster is configured: {'; '.join(tried)}: name a kubeconfig")
    return _service_account(tried)


def _service_account(tried: Sequence[str]) -> FoundCluster:
    from kubernetes_asyncio import client, config
    from kubernetes_asyncio.config import incluster_config

    configuration = client.Configuration()
    try:
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration, try_refresh_token=False
        )
    except (config.ConfigException, OSError, ValueError) as error:  # ValueError: not UTF-8
        words = error if isinstance(error, config.ConfigException) else type(error).__name__
        raise ConfigurationError(
            f"no cluster is configured: {'; '.join(tried)}; the Pod's service account cannot be used: {words}"
        ) from error
    token_file = incluster_config.SERVICE_TOKEN_FILENAME
    named = Path(token_file).with_name("namespace")
    namespace = named.read_text().strip() if named.is_file() else ""
    cluster = Cluster(server=configuration.host or "", certificate_authority=configuration.ssl_ca_cert or "")
    user = User(token_file=token_file)
    return FoundCluster("the Pod's service account", (), "", namespace or "default", cluster, user)


def _read(files: tuple[str, ...], context: str | None) -> FoundCluster:
    """Return the cluster of a context of some kubeconfigs, of which the first to name something wins."""
    origin = f"the kubeconfig{'s' if len(files) > 1 else ''} {', '.join(map(brief, files))}"
    try:
        entries, current = _merged(files)
        name = current if context is None else context
        if not name:
            names = ", ".join(_names(entries["contexts"])) or "it has none"
            raise ConfigurationError(f"it has no current-context: name a context ({brief(names)})")
        found = _chosen(entries["contexts"], "context", name, _Context)
        if not found.cluster:
            raise ConfigurationError(f"the context {brief(name, 100)!r} names no cluster")
        cluster = _chosen(entries["clusters"], "cluster", found.cluster, Cluster)
        user = _chosen(entries["users"], "user", found.user, User) if found.user else User()
        if not cluster.server:
            raise ConfigurationError(f"the cluster {brief(found.cluster, 100)!r} has no server")
        if cluster.proxy_url and not cluster.proxy_url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"the cluster {brief(found.cluster, 100)!r} has a proxy-url that is not one of HTTP"
            )
        _check(user)
    except ConfigurationError as error:
        raise ConfigurationError(f"{origin} cannot be used: {error}") from None
    return FoundCluster(origin, files, name, found.namespace or "default", cluster, user)


def _merged(files: Sequence[str]) -> tuple[dict[str, list[tuple[str, Any]]], str]:
    """Return the entries of each list, with the file that each comes from, and the name of the current context."""
    from kubernetes_asyncio.config.kube_config import KubeConfigMerger

    try:
        merger: Any = KubeConfigMerger(os.pathsep.join(files))
        merged = merger.config.value
        entries = {
            plural: [(node.path, node.value) for node in merged[plural]] for plural in ("contexts", "clusters", "users")
        }
        # The merger takes the last one.
        names = (config.get("current-context") for config in merger.config_files.values())
        return entries, str(next(filter(None, names), ""))
    except (OSError, UnicodeDecodeError) as error:
        words = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it is not UTF-8"
        raise ConfigurationError(words[:1].lower() + words[1:]) from None
    except Exception as error:  # whatever the merger and PyYAML make of it
        # The errors of PyYAML that know a position quote no more than a character; others may quote a value.
        is_located = getattr(error, "problem_mark", None) is not None
        words = brief(" ".join(str(error).split())) if is_located else "it is not a kubeconfig"
        raise ConfigurationError(words) from None


def _names(entries: Iterable[tuple[str, Any]]) -> list[str]:
    return sorted(str(entry.get("name")) for _, entry in entries if isinstance(entry, dict))


def _chosen(entries: Sequence[tuple[str, Any]], singular: str, name: str, form: type[T]) -> T:
    """Return an entry by its name, its paths made absolute: they are relative to the file that they stand in."""
    for file, entry in entries:
        if isinstance(entry, dict) and entry.get("name") == name:
            try:
                content = {key: value for key, value in dict(entry.get(singular) or {}).items() if value is not None}
                return msgspec.convert(_absolute(content, os.path.dirname(file)), form)
            except (msgspec.MsgspecError, TypeError, ValueError) as error:
                words = str(error) if isinstance(error, msgspec.MsgspecError) else "it is not a mapping"
                raise ConfigurationError(f"the {singular} {brief(name, 100)!r}: {brief(words)}") from None
    names = _names(entries)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    known = f" among {brief(', '.join(names))}" if names else f", and no other {singular}"
    advice = f": did you mean {brief(near[0], 100)!r}?" if near else ""
    raise ConfigurationError(f"there is no {singular} {brief(name, 100)!r}{known}{advice}")


def _absolute(content: dict[str, Any], folder: str) -> dict[str, Any]:
    for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
        if isinstance(content.get(key), str) and content[key]:
            content[key] = os.path.normpath(os.path.join(folder, content[key]))
    plugin = content.get("exec")
    if isinstance(plugin, dict):
        plugin = content["exec"] = {key: value for key, value in plugin.items() if value is not None}
        command = plugin.get("command")
        if isinstance(command, str) and os.path.dirname(command):  # otherwise it is looked for in PATH
            plugin["command"] = os.path.join(folder, command)
    return content


def _check(user: User) -> None:
    """Raise for what a user's section asks for and cannot have."""
    if user.exec is not None:
        user.exec.check()
    if user.auth_provider is not None and user.auth_provider.name != "oidc":
        name = user.auth_provider.name
        instead = {"gcp": "gke-gcloud-auth-plugin", "azure": "kubelogin"}.get(name, "an exec plug-in")
        raise ConfigurationError(
            f"the auth-provider {brief(name, 100)!r} is no longer a part of Kubernetes: use {instead}"
        )
    if len(user.impersonated_groups or ()) > 1 or any(len(v) > 1 for v in (user.impersonated_extra or {}).values()):
        raise ConfigurationError("as-groups and as-user-extra can be impersonated with one value each only")
