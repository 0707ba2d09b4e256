"""Where a cluster is looked for, in which order, and what is said if it is not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.config import incluster_config

from aioinformers.errors import ConfigurationError
from aioinformers.transport.kubeconfig import FoundCluster, find_cluster

SECRET = "secret-of-the-user"


def config(name: str = "dev", *, user: Any = None, cluster: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": f"{name}-user"}}],
        "clusters": [{"name": f"{name}-cluster", "cluster": cluster or {"server": f"https://{name}:6443"}}],
        "users": [{"name": f"{name}-user", "user": user or {}}],
        **more,
    }


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing configured."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a Pod; the folder of its service account."""
    folder = tmp_path / "serviceaccount"
    write(folder / "token", "token\n")
    write(folder / "ca.crt", "certificate")
    write(folder / "namespace", "shop\n")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


def problem(*arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        find_cluster(*arguments)
    assert SECRET not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    return str(caught.value)


# -- the order ----------------------------------------------------------------------------------------------------


def test_a_path_goes_before_kubeconfig_before_home_before_the_pod(
    tmp_path: Path, pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[FoundCluster] = [find_cluster()]
    write(tmp_path / "home/.kube/config", config("home"))
    found.append(find_cluster())
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "named", config("named"))))
    found.append(find_cluster())
    found.append(find_cluster(write(tmp_path / "given", config("given"))))

    assert [each.cluster.server for each in found] == [
        "https://10.0.0.1:443", "https://home:6443", "https://named:6443", "https://given:6443",
    ]  # fmt: skip
    assert [each.origin for each in found] == [
        "the Pod's service account",
        *(f"the kubeconfig {tmp_path}/{name}" for name in ("home/.kube/config", "named", "given")),
    ]


def test_a_pod_has_its_service_account(pod: Path) -> None:
    found = find_cluster()
    assert (found.namespace, found.files, found.context) == ("shop", (), "")
    assert found.user.token_file == str(pod / "token")
    assert found.cluster.certificate_authority == str(pod / "ca.crt")
    assert found.read_again() == found
    (pod / "namespace").unlink()
    assert find_cluster().namespace == "default"


def test_of_several_files_the_first_to_name_something_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = config("a", cluster={"server": "https://first:1"}, **{"current-context": ""})
    second = config("a", cluster={"server": "https://second:1", "certificate-authority": "ca"})
    third = config("b", cluster={"server": "https://third:1", "certificate-authority": "ca"})
    files = [write(tmp_path / f"{number}/config", each) for number, each in enumerate((first, second, third))]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(["", str(tmp_path / "none"), "/dev/null", *map(str, files)]))
    found = find_cluster()
    assert (found.context, found.cluster.server) == ("a", "https://first:1")
    assert found.files == tuple(map(str, files))
    found = find_cluster(context="b")
    assert found.cluster.server == "https://third:1"
    assert found.cluster.certificate_authority == str(tmp_path / "2/ca")  # beside the file that says so
    assert found.origin.startswith("the kubeconfigs ")


def test_paths_are_relative_to_their_file_and_commands_without_a_folder_are_not(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "args": None, "env": None}
    user = {
        "client-certificate": "me.crt",
        "client-key": "/abs/key",
        "tokenFile": "../t",
        "token": None,
        "exec": plugin,
    }
    file = write(tmp_path / "deep/config", config(user=user, cluster={"server": "x", "certificate-authority": "ca"}))
    found = find_cluster(file)
    assert found.cluster.certificate_authority == str(tmp_path / "deep/ca")
    assert found.user.client_certificate == str(tmp_path / "deep/me.crt")
    assert (found.user.client_key, found.user.token_file) == ("/abs/key", str(tmp_path / "t"))
    assert found.user.exec is not None
    assert found.user.exec.command == "aws"
    plugin["command"] = "bin/aws"
    write(file, config(user=user))
    command = find_cluster(file).user.exec
    assert command is not None
    assert command.command == str(tmp_path / "deep/bin/aws")


def test_a_home_is_found_and_a_context_without_a_user_is_nobody(tmp_path: Path) -> None:
    content = config(contexts=[{"name": "dev", "context": {"cluster": "dev-cluster", "namespace": "shop"}}])
    write(tmp_path / "home/x", content)
    found = find_cluster("~/x")
    assert (found.namespace, found.user.token) == ("shop", "")


def test_what_a_file_says_later_is_read_of_the_same_context(tmp_path: Path) -> None:
    file = write(tmp_path / "config", config("dev", user={"token": "old"}))
    found = find_cluster(file)
    both = config("dev", user={"token": "new"}, **{"current-context": "prod"})
    write(file, both)
    assert (found.read_again().user.token, found.read_again().context) == ("new", "dev")
    write(file, config("prod"))
    with pytest.raises(ConfigurationError, match="there is no context 'dev'"):
        found.read_again()


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """As in `--kubeconfig <(…)` of a shell."""
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        pipe.write(json.dumps(config()))
        pipe.close()
        found = find_cluster(f"/dev/fd/{reading}")
        assert found.cluster.server == "https://dev:6443"
        assert found.read_again() is found


def test_g16_nothing_shows_what_is_secret(tmp_path: Path) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "env": [{"name": "A", "value": SECRET}],
    }  # fmt: skip
    names = ("token", "username", "password", "client-key-data")
    user = {**dict.fromkeys(names, SECRET), "exec": plugin}
    user["auth-provider"] = {"name": "oidc", "config": {"refresh-token": SECRET}}
    found = find_cluster(write(tmp_path / "config", config(user=user)))
    assert SECRET not in f"{found!r} {found.user!r} {found.user.exec!r} {found.user.auth_provider!r}"


# -- what is said -------------------------------------------------------------------------------------------------


def test_a_path_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path / "none") == f"there is no kubeconfig at {tmp_path}/none"
    assert problem(tmp_path) == f"the kubeconfig {tmp_path} is a folder"


def test_where_nothing_is_configured_all_ways_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod_words = "this is no Pod (KUBERNETES_SERVICE_HOST is not set): name a kubeconfig"
    home_words = "KUBECONFIG is not set; ~/.kube/config does not exist"
    assert problem() == f"no cluster is configured: {home_words}; {pod_words}"
    write(tmp_path / "home/.kube/config", "")
    assert "~/.kube/config is empty" in problem()
    assert problem(None, "dev") == (
        "no kubeconfig with the context 'dev': KUBECONFIG is not set; ~/.kube/config is empty"
    )
    monkeypatch.setenv("KUBECONFIG", "/no/such:/dev/null")
    assert problem() == (
        f"no cluster is configured: KUBECONFIG (/no/such:/dev/null) names no kubeconfig that exists; {pod_words}"
    )


def test_a_pod_without_a_service_account_is_told_with_the_other_ways(
    monkeypatch: pytest.MonkeyPatch, pod: Path
) -> None:
    (pod / "token").unlink()
    assert problem() == (
        "no cluster is configured: KUBECONFIG is not set; ~/.kube/config does not exist; "
        "the Pod's service account cannot be used: Service token file does not exist."
    )
    monkeypatch.delenv("KUBERNETES_SERVICE_PORT")
    assert problem().endswith("the Pod's service account cannot be used: Service host/port is not set.")


BROKEN: list[tuple[Any, str]] = [
    ("", "it is not a kubeconfig"),
    ("hello", "it is not a kubeconfig"),
    ("[1, 2]", "it is not a kubeconfig"),
    ("a: [b", "while parsing a flow sequence in"),
    (f'users: [{{name: a, user: {{token: "{SECRET}', "while scanning a quoted scalar in"),
    (f"users: [{{name: a, user: {{token: @{SECRET}", "cannot start any token"),
    ("users: 7", "it is not a kubeconfig"),
    ({}, "it has no current-context: name a context (it has none)"),
    ({"contexts": [{"name": "a"}, {"name": "b"}]}, "it has no current-context: name a context (a, b)"),
    ({"current-context": "dev"}, "there is no context 'dev', and no other context"),
    (config(contexts=[{"name": "dev", "context": None}]), "the context 'dev' names no cluster"),
    (config(contexts=[{"name": "dev", "context": "x"}]), "the context 'dev': it is not a mapping"),
    (config(contexts=[{"name": "dev", "context": {"cluster": 7}}]), "the context 'dev': Expected `str`, got `int`"),
    (config(clusters=[]), "there is no cluster 'dev-cluster', and no other cluster"),
    (
        config(clusters=[{"name": "dev-clutser"}]),
        "no cluster 'dev-cluster' among dev-clutser: did you mean 'dev-clutser'?",
    ),
    (config(clusters=[{"name": "dev-cluster", "cluster": {}}]), "the cluster 'dev-cluster' has no server"),
    (config(cluster={"server": "x", "proxy-url": "socks5://p"}), "has a proxy-url that is not one of HTTP"),
    (config(cluster={"server": "x", "proxy-url": "//["}), "has a proxy-url that is not one of HTTP"),
    (config(users=[{"name": "x"}]), "there is no user 'dev-user' among x"),
    (config(user={"token": [SECRET]}), "the user 'dev-user': Expected `str`, got `array` - at `$.token`"),
    (config(user={"exec": {"command": "x"}}), "missing required field `apiVersion` - at `$.exec`"),
    (
        config(user={"exec": {"command": "x", "apiVersion": "v1"}}),
        "the exec plug-in 'x' has apiVersion 'v1': there are",
    ),
    (config(user={"auth-provider": {"name": "gcp"}}), "no longer a part of Kubernetes: use gke-gcloud-auth-plugin"),
    (config(user={"auth-provider": {"name": "azure"}}), "use kubelogin"),
    (config(user={"as": "x", "as-groups": ["a", "b"]}), "with one value each only"),
]


@pytest.mark.parametrize(("content", "words"), BROKEN)
def test_g16_a_kubeconfig_that_cannot_be_used_says_why_and_quotes_no_value(
    tmp_path: Path, content: Any, words: str
) -> None:
    file = write(tmp_path / "config", content)
    said = problem(file)
    assert said.startswith(f"the kubeconfig {file} cannot be used: ")
    assert words in said
    assert said.isprintable()


def test_a_kubeconfig_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\xfe\x00")
    assert problem(tmp_path / "config").endswith("it is not UTF-8")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_kubeconfig_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path / "config", config()).chmod(0)
    assert problem(tmp_path / "config").endswith("permission denied")


def test_a_context_that_is_misspelt_is_told_the_near_one(tmp_path: Path) -> None:
    file = write(tmp_path / "config", config("production"))
    assert problem(file, "prodcution").endswith("no context 'prodcution' among production: did you mean 'production'?")
    assert problem(file, "xyz").endswith("there is no context 'xyz' among production")
