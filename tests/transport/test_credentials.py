"""Credentials that stay good: files that change, plug-ins that are run again, refusals."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.errors import ConfigurationError, CredentialsError
from aioinformers.transport import credentials as module
from aioinformers.transport.credentials import Credentials, Stamp
from aioinformers.transport.kubeconfig import find_cluster
from tests.transport.kubeconfigs import encoded, kubeconfig, plugin_printing, replace

virtual_time = pytest.mark.virtual_time
SERVER = "https://127.0.0.1:1"


class Client:
    """What a client does with its hook."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.configuration = client.Configuration()

    async def header(self) -> str | None:
        await self.credentials(self.configuration)
        return self.configuration.api_key.get("BearerToken")

    async def later(self, seconds: float = 1.0) -> str | None:
        await asyncio.sleep(seconds)
        return await self.header()

    def refuse(self) -> None:
        self.credentials.invalidate(self.credentials.generation)


def text(path: str | None) -> str:
    assert path is not None
    return Path(path).read_text()


@asynccontextmanager
async def loaded(path: Path) -> AsyncIterator[Client]:
    credentials = Credentials(find_cluster(path))
    try:
        await credentials.load()
        yield Client(credentials)
    finally:
        await credentials.aclose()


# -- whose they are -----------------------------------------------------------------------------------------------

BASIC = f"Basic {base64.b64encode(b'me:pw').decode()}"
PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such/plugin"}


@virtual_time
@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({}, None),
        ({"token": " t \n"}, "Bearer t"),
        ({"token": "t", "exec": PLUGIN}, "Bearer t"),
        ({"token": "t", "tokenFile": "token"}, "Bearer of-the-file"),
        ({"username": "me", "password": "pw"}, BASIC),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "a.b.c"}}}, "Bearer a.b.c"),
    ],
)
async def test_a_user_is_recognized_as_by_kubectl(tmp_path: Path, user: Mapping[str, Any], header: str | None) -> None:
    (tmp_path / "token").write_text("of-the-file\r\n")
    async with loaded(kubeconfig(tmp_path / "config", SERVER, user)) as it:
        assert await it.header() == header


@virtual_time
@pytest.mark.parametrize(
    ("user", "cluster", "words"),
    [
        ({"tokenFile": "none"}, {}, "tokenFile {}/none cannot be read: no such file or directory"),
        ({"tokenFile": "empty"}, {}, "tokenFile {}/empty is empty"),
        ({"tokenFile": "odd"}, {}, "tokenFile {}/odd has characters that no token has"),
        ({"tokenFile": "a\0b"}, {}, "tokenFile {}/a\\x00b cannot be read: it is no path"),
        ({"client-key": "none"}, {}, "client-key {}/none cannot be read"),
        ({}, {"certificate-authority": "none"}, "certificate-authority {}/none cannot be read"),
        ({}, {"certificate-authority-data": "a"}, "certificate-authority-data is not base64"),
        ({"auth-provider": {"name": "oidc"}}, {}, "the id-token of the auth-provider is empty"),
    ],
)
async def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, user: Mapping[str, Any], cluster: Mapping[str, Any], words: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "odd").write_text("secret\nX-Evil: 1")
    path = kubeconfig(tmp_path / "config", SERVER, user, **cluster)
    with pytest.raises(ConfigurationError) as caught:
        async with loaded(path):
            pass
    assert f"the kubeconfig {path} cannot be used: {words.format(tmp_path)}" in str(caught.value)
    assert "secret" not in str(caught.value)


@virtual_time
async def test_certificates_and_the_way_to_the_server_are_written_into_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("authority")
    user = {"client-certificate-data": encoded("certificate"), "client-key-data": encoded("key")}
    more: dict[str, Any] = {
        "certificate-authority": "ca",
        "proxy-url": "http://proxy:3128",
        "tls-server-name": "kubernetes",
    }
    path = kubeconfig(tmp_path / "config", f"{SERVER}/", user, **more)
    async with loaded(path) as it:
        it.credentials.configure(it.configuration)
        found = it.configuration
        assert (found.host, found.proxy, found.tls_server_name) == (SERVER, "http://proxy:3128", "kubernetes")
        assert (found.verify_ssl, found.ssl_ca_cert) == (True, str(tmp_path / "ca"))
        assert found.key_file is not None
        assert (text(found.cert_file), text(found.key_file)) == ("certificate", "key")
        assert os.stat(os.path.dirname(found.key_file)).st_mode & 0o777 == 0o700
        assert await it.header() is None
    assert Stamp.of(found.key_file) == Stamp()  # it is gone

    async with loaded(kubeconfig(path, SERVER, insecure_skip_tls_verify=True)) as it:
        it.credentials.configure(it.configuration)
        found = it.configuration
        assert (found.verify_ssl, found.ssl_ca_cert, found.proxy) == (False, None, None)


# -- files that change --------------------------------------------------------------------------------------------


@virtual_time
async def test_g9_a_token_file_is_read_anew_within_a_second_of_its_change(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with loaded(kubeconfig(tmp_path / "config", SERVER, {"tokenFile": "token"})) as it:
        assert await it.header() == "Bearer old"
        replace(token, "new\n")
        assert await it.header() == "Bearer old"  # it has been looked at in this second
        assert await it.later() == "Bearer new"
        generation = it.credentials.generation
        os.utime(token)
        assert await it.later() == "Bearer new"
        assert it.credentials.generation == generation  # the same as before


@virtual_time
async def test_g9_a_mounted_secret_changes_by_a_link(tmp_path: Path) -> None:
    """The kubelet replaces a link to a folder; files may have the same time and size then."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(f"token-{version}")
        os.utime(tmp_path / version / "token", (1, 1))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "token").symlink_to("..data/token")
    async with loaded(kubeconfig(tmp_path / "config", SERVER, {"tokenFile": "token"})) as it:
        (tmp_path / "..new").symlink_to("2")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        assert await it.later() == "Bearer token-2"


@virtual_time
async def test_g12_files_that_have_not_changed_are_looked_at_once_a_second_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("t")
    counts: Counter[str] = Counter()

    def counted(name: str, function: Any) -> Any:
        def count(argument: Any) -> Any:
            counts[name] += 1
            return function(argument)

        return count

    monkeypatch.setattr(Stamp, "of", counted("looks", Stamp.of))
    monkeypatch.setattr(module, "read_identity", counted("reads", module.read_identity))
    async with loaded(kubeconfig(tmp_path / "config", SERVER, {"tokenFile": "token"})) as it:
        counts["looks"] = 0
        for _ in range(1000):
            await it.later(0.01)
        assert counts["looks"] <= 2 * 11  # two files
        assert counts["reads"] == 1


@virtual_time
@pytest.mark.parametrize("damage", ["missing", "empty", "odd"])
async def test_g9_a_file_that_is_about_to_be_written_leaves_the_old_token_in_use(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with loaded(kubeconfig(tmp_path / "config", SERVER, {"tokenFile": "token"})) as it:
        token.unlink() if damage == "missing" else token.write_text("" if damage == "empty" else "a\nb")
        for _ in range(5):
            assert await it.later() == "Bearer old"
            it.refuse()
        assert len(caplog.messages) == 1
        assert caplog.messages[0].endswith("the credentials from before are used")
        replace(token, "new")
        assert await it.later() == "Bearer new"


@virtual_time
async def test_g9_who_logs_in_again_goes_on_without_a_restart(tmp_path: Path) -> None:
    """Commands such as `oc login` write another token into the kubeconfig."""
    path = kubeconfig(tmp_path / "config", SERVER, {"token": "old"})
    async with loaded(path) as it:
        kubeconfig(path, SERVER, {"token": "new"})
        assert await it.later() == "Bearer new"
        path.write_text("half: [")
        assert await it.later() == "Bearer new"
        kubeconfig(path, SERVER, {"username": "me", "password": "pw"})
        assert await it.later() == BASIC
        kubeconfig(path, SERVER)
        assert await it.later() is None


@virtual_time
@pytest.mark.parametrize(
    ("server", "user"), [("https://127.0.0.1:2", {"token": "new"}), (SERVER, {"token": "new", "as": "admin"})]
)
async def test_g16_credentials_for_another_server_are_not_sent_to_this_one(
    tmp_path: Path, server: str, user: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = kubeconfig(tmp_path / "config", SERVER, {"token": "old"})
    async with loaded(path) as it:
        kubeconfig(path, server, user)
        for _ in range(3):
            assert await it.later() == "Bearer old"
        it.credentials.configure(it.configuration)
        assert it.configuration.host == SERVER
        assert len(caplog.messages) == 1
        assert "names another server or another user to impersonate: restart to follow" in caplog.messages[0]


@virtual_time
async def test_a_refusal_has_files_looked_at_at_once_and_counts_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with loaded(kubeconfig(tmp_path / "config", SERVER, {"tokenFile": "token"})) as it:
        before = it.credentials.generation
        token.write_text("new")
        it.refuse()
        assert await it.header() == "Bearer new"
        assert it.credentials.generation == before + 1
        it.credentials.invalidate(before)  # another request that was sent with the old one
        token.write_text("newer")
        assert await it.header() == "Bearer new"


@virtual_time
async def test_g9_a_refusal_has_a_file_read_that_was_not_there_when_the_kubeconfig_named_it(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", SERVER, {"token": "old"})
    async with loaded(path) as it:
        kubeconfig(path, SERVER, {"tokenFile": "token"})
        assert await it.later() == "Bearer old"
        (tmp_path / "token").write_text("new")
        it.refuse()
        assert await it.header() == "Bearer new"


@virtual_time
async def test_certificates_count_if_their_content_changes(tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    ca.write_text("one")
    path = kubeconfig(tmp_path / "config", SERVER, {"token": "t"}, certificate_authority="ca")
    async with loaded(path) as it:
        await it.header()
        before = it.credentials.tls_generation
        os.utime(ca)
        await it.later()
        assert it.credentials.tls_generation == before
        replace(ca, "two")
        await it.later()
        assert it.credentials.tls_generation == before + 1


# -- exec plug-ins ------------------------------------------------------------------------------------------------


def runs(log: Path) -> int:
    return log.read_text().count("run")


async def test_a_plugin_is_run_at_the_beginning_and_after_a_refusal(tmp_path: Path) -> None:
    status, log = tmp_path / "status", tmp_path / "log"
    replace(status, '{"token": "one"}')
    async with loaded(kubeconfig(tmp_path / "config", SERVER, plugin_printing(status, log))) as it:
        assert runs(log) == 1
        assert await it.header() == "Bearer one"
        replace(status, '{"token": "two"}')
        assert await it.later(1.1) == "Bearer one"
        it.refuse()
        it.refuse()
        assert await asyncio.gather(*(it.header() for _ in range(20))) == ["Bearer two"] * 20
        assert runs(log) == 2


async def test_a_certificate_of_a_plugin_is_used_and_replaced(tmp_path: Path) -> None:
    status, log = tmp_path / "status", tmp_path / "log"
    replace(status, '{"clientCertificateData": "c1", "clientKeyData": "k1"}')
    async with loaded(kubeconfig(tmp_path / "config", SERVER, plugin_printing(status, log))) as it:
        it.credentials.configure(it.configuration)
        assert text(it.configuration.cert_file) == "c1"
        assert await it.header() is None
        before = it.credentials.tls_generation
        replace(status, '{"clientCertificateData": "c2", "clientKeyData": "k2", "token": "t"}')
        await asyncio.sleep(1.1)
        it.refuse()
        assert await it.header() == "Bearer t"
        assert it.credentials.tls_generation == before + 1
        it.credentials.configure(it.configuration)
        assert text(it.configuration.cert_file) == "c2"


async def test_a_plugin_that_fails_at_the_beginning_is_told(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="the exec plug-in '/no/such/plugin' cannot be run: there is no"):
        async with loaded(kubeconfig(tmp_path / "config", SERVER, {"exec": PLUGIN})):
            pass


async def test_a_plugin_is_told_the_cluster_with_the_certificate_that_it_has_now(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("authority")
    status, log = tmp_path / "status", tmp_path / "log"
    replace(status, '{"token": "t"}')
    show = f"import os; open({str(tmp_path / 'info')!r}, 'w').write(os.environ['KUBERNETES_EXEC_INFO'])"
    user = plugin_printing(status, log, before=show)
    user["exec"]["provideClusterInfo"] = True
    extensions = [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}]
    more: dict[str, Any] = {"certificate-authority": "ca", "extensions": extensions}
    async with loaded(kubeconfig(tmp_path / "config", SERVER, user, **more)) as it:
        await it.header()
    assert json.loads((tmp_path / "info").read_text())["spec"]["cluster"] == {
        "server": SERVER, "certificate-authority-data": encoded("authority"), "config": {"audience": "x"},
    }  # fmt: skip


async def test_another_plugin_takes_over_when_the_kubeconfig_names_it(tmp_path: Path) -> None:
    path, log = tmp_path / "config", tmp_path / "log"
    for number in (1, 2):
        replace(tmp_path / f"status{number}", f'{{"token": "t{number}"}}')
    async with loaded(kubeconfig(path, SERVER, plugin_printing(tmp_path / "status1", log))) as it:
        assert await it.header() == "Bearer t1"
        kubeconfig(path, SERVER, plugin_printing(tmp_path / "status2", log))
        await asyncio.sleep(1)
        assert await asyncio.gather(*(it.header() for _ in range(5))) == ["Bearer t2"] * 5
        kubeconfig(path, SERVER, {"token": "static"})
        assert await it.later(1.1) == "Bearer static"
    assert runs(log) == 2


# -- the rest -----------------------------------------------------------------------------------------------------


@virtual_time
async def test_a_copy_of_the_configuration_has_the_same_credentials(tmp_path: Path) -> None:
    async with loaded(kubeconfig(tmp_path / "config", SERVER, {"token": "t"})) as it:
        it.configuration.refresh_api_key_hook = it.credentials
        again = copy.deepcopy(it.configuration)
        assert again.refresh_api_key_hook is it.credentials
        await again.get_api_key_with_prefix("BearerToken")
        assert again.api_key == {"BearerToken": "Bearer t"}


@virtual_time
@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({}, "the kubeconfig {} has no credentials for this cluster"),
        ({"token": "t"}, "log in again: the kubeconfig {} is read anew when it changes"),
        ({"tokenFile": "/dev/null/../../../{}/token"}, "valid? It is read anew when it changes"),
    ],
)
async def test_what_may_be_the_cause_of_a_401_is_known(tmp_path: Path, user: dict[str, str], words: str) -> None:
    (tmp_path / "token").write_text("t")
    path = tmp_path / "config"
    user = {key: value.format(tmp_path) for key, value in user.items()}
    async with loaded(kubeconfig(path, SERVER, user)) as it:
        assert words.format(path) in it.credentials.hint


async def test_what_may_be_the_cause_of_a_401_with_a_plugin_is_known(tmp_path: Path) -> None:
    status = tmp_path / "status"
    replace(status, '{"token": "t"}')
    async with loaded(kubeconfig(tmp_path / "config", SERVER, plugin_printing(status, tmp_path / "log"))) as it:
        assert it.credentials.hint.endswith("was asked again: does the cluster know its user?")
        replace(status, "{}")
        await asyncio.sleep(1.1)
        it.refuse()
        assert await it.header() == "Bearer t"  # nothing better is there
        assert it.credentials.hint.endswith("gave neither a token nor a client certificate")
