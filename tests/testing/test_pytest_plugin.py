"""The pytest plugin, as its users meet it: in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import asyncio
import pytest
{mark}
async def test_informer_follows(aioinformers_server, aioinformers_factory):
    aioinformers_server.create("pods", {{"metadata": {{"name": "web"}}}})
    pods = aioinformers_factory.core.v1.pods()
    assert not aioinformers_factory.is_started
    await aioinformers_factory.start()
    await aioinformers_factory.wait_for_cache_sync(timeout=10)
    assert [pod.metadata.name for pod in pods.lister.list()] == ["web"]

{mark}
async def test_every_test_has_a_server_of_its_own(aioinformers_server):
    assert aioinformers_server.list("pods") == []

def test_plain_tests_have_no_part_in_it():
    pass
"""


def run_pytest(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests in a pytest of its own, with the plugin; warnings are errors there too."""
    (folder / "test_user.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    scope = [] if "no:asyncio" in arguments else ["-o", "asyncio_default_fixture_loop_scope=function"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *scope, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(
        [*command, str(folder)],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_fixtures_work_in_either_mode_of_pytest_asyncio(tmp_path: Path, mode: str) -> None:
    mark = "@pytest.mark.asyncio" if mode == "strict" else ""
    done = run_pytest(tmp_path, TESTS.format(mark=mark), "-o", f"asyncio_mode={mode}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.slow
def test_without_pytest_asyncio_the_fixtures_say_what_is_missing(tmp_path: Path) -> None:
    text = "def test_it(aioinformers_factory):\n    raise AssertionError('unreachable')\n"
    done = run_pytest(tmp_path, text, "-p", "no:asyncio")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the fixture aioinformers_factory needs pytest-asyncio" in done.stdout
    assert "pip install 'aioinformers[testing]'" in done.stdout


@pytest.mark.slow
def test_runs_that_do_not_ask_for_a_fixture_load_nothing(tmp_path: Path) -> None:
    text = """
import sys

def test_it(request):
    assert "aioinformers_server" not in request.fixturenames
    assert not {"aiohttp", "kubernetes_asyncio", "kubernetes"} & set(sys.modules)
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_fixtures_are_listed_with_what_they_are(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "", "--fixtures")
    assert "aioinformers_server" in done.stdout
    assert "A running embedded API server without objects." in done.stdout
    assert "An informer factory on ``aioinformers_server``" in done.stdout


def test_every_public_name_of_the_kit_can_be_loaded() -> None:
    program = (
        "import aioinformers.testing as t; {n: getattr(t, n) for n in t.__all__}; assert {*t.__all__} <= {*dir(t)}"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        __import__("aioinformers.testing").testing.nothing  # noqa: B018
