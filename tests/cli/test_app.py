"""The command line: what it prints, its exit codes, and one line for everything that goes wrong."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from aioinformers.__main__ import main
from tests.cli.shell import Result, Shell, process, stderr_of
from tests.kit.realserver import ADMIN_TOKEN, LIMITED_TOKEN, RealAPIServer

# -- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["get", "podz"], 2, "did you mean pods?"),
        (["watch", "podz"], 2, "did you mean pods?"),
        (["get", "pods", "nope"], 1, "'nope' not found in namespace shop: see what there is with"),
        (["get", "nodes", "nope"], 1, "'nope' not found: see what there is with `aioinformers get nodes`"),
        (["get", "pods", "web-1", "-A"], 2, "-n NAMESPACE"),
        (["get", "pods", "web-1", "-l", "app"], 2, "leave the selectors out"),
        (["get", "pods", "-l", "app=(web"], 2, "bad selector 'app=(web' at character 4"),
        (["watch", "pods", "--field-selector", "phase"], 2, "bad selector 'phase'"),
        (["get", "pods", "--field-selector", "spec.no=1"], 1, "refuses: 400"),
        (["get", "pods", "-n", "Bad_Name"], 2, "'Bad_Name' cannot be a namespace"),
        (["get", "pods", "-o", "yaml"], 2, "'yaml' is not one of"),
        (["watch", "pods", "-o", "name"], 2, "'name' is not one of"),
        (["watch", "pods", "--seconds", "soon"], 2, "--seconds"),
        (["get"], 2, "aioinformers get --help"),
        (["fetch"], 2, "fetch"),
        (["get", "pods", "--frobnicate"], 2, "--frobnicate"),
        (["get", "pods", "--context", "prod"], 2, "no context 'prod' among fake"),
        (["get", "pods", "--kubeconfig", "/no/such/file"], 2, "no kubeconfig at /no/such/file"),
    ],
)
async def test_bad_input_gets_one_line_and_an_exit_code(shell: Shell, argv: list[str], code: int, words: str) -> None:
    result = await shell.run(*argv)

    assert result.code == code
    assert result.out == ""
    assert result.err.startswith("aioinformers: ")
    assert result.err.count("\n") == 1
    assert words in result.err


async def test_without_typer_one_line_says_what_to_install() -> None:
    script = "import sys; sys.modules['typer'] = None; from aioinformers.__main__ import main; sys.exit(main([]))"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.PIPE)
    _, err = await child.communicate()

    assert child.returncode == 2
    assert err.decode() == "aioinformers: typer is missing: install aioinformers[cli]\n"


async def test_without_arguments_the_help_is_printed(shell: Shell) -> None:
    result = await shell.run()

    assert (result.code, result.err) == (2, "")
    assert "demo" in result.out
    assert (await shell.run("--version")).out.startswith("aioinformers ")


async def test_ctrl_c_ends_watch_without_a_word(shell: Shell) -> None:
    async with process("watch", "pods") as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await child.wait() == 130
        assert await stderr_of(child) == ""


# -- a real server --------------------------------------------------------------------------------------------


@pytest.fixture
def real_kubeconfig(real_server: RealAPIServer, tmp_path: Path) -> Path:
    """A kubeconfig with a context for each of the real server's users, and one for somebody it does not know."""
    cluster = {"server": real_server.url, "certificate-authority": real_server.ca_file}
    tokens = {"admin": ADMIN_TOKEN, "limited": LIMITED_TOKEN, "stranger": "no-token"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "admin",
        "clusters": [
            {"name": "real", "cluster": cluster},
            {"name": "unproven", "cluster": {"server": real_server.url}},
        ],
        "users": [{"name": name, "user": {"token": token}} for name, token in tokens.items()],
        "contexts": [
            *({"name": name, "context": {"cluster": "real", "user": name}} for name in tokens),
            {"name": "unproven", "context": {"cluster": "unproven", "user": "admin"}},
        ],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.realserver
@pytest.mark.parametrize(
    ("argv", "code", "out", "err"),
    [
        (["get", "ns", "-o", "name"], 0, "namespace/kube-system\n", ""),
        (["get", "Namespace", "default", "-o", "wide"], 0, "kubernetes.io/metadata.name=default", ""),
        (["watch", "svc", "-n", "default", "--seconds", "2"], 0, "kubernetes   ClusterIP", ""),
        (["get", "nodez"], 2, "", "did you mean nodes"),
        (["get", "pods", "--field-selector", "spec.no=1"], 1, "", "field label not supported: spec.no"),
        (["get", "secrets", "--context", "limited"], 1, "", 'User "limited" cannot'),
        (["watch", "secrets", "--context", "limited"], 1, "", 'User "limited" cannot'),
        (["get", "pods", "--context", "stranger"], 1, "", "401 Unauthorized"),
        (["get", "pods", "--context", "unproven"], 1, "", "check the certificates"),
    ],
)
def test_the_real_server_is_asked_and_understood(
    real_kubeconfig: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, out: str, err: str
) -> None:
    result = Result(main([*argv, "--kubeconfig", str(real_kubeconfig)]), *capsys.readouterr())

    assert (result.code, result.err.count("\n")) == (code, 1 if err else 0)
    assert out in result.out
    assert err in result.err
