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
    await aioinformers_factory.wait_for_cache_sync(timeout=60)
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


# -- virtual time -------------------------------------------------------------------------------------

VIRTUAL = """
import asyncio
import pytest
from aioinformers.testing import VirtualTimeLoop

def is_virtual():
    return isinstance(asyncio.get_running_loop(), VirtualTimeLoop)

@pytest.mark.aioinformers_virtual_time
async def test_the_mark_alone_is_enough(aioinformers_server, aioinformers_factory):
    aioinformers_server.create("Pod", {"metadata": {"name": "web"}})
    pods = aioinformers_factory.core.v1.pods()
    await aioinformers_factory.start()
    await asyncio.sleep(3600)
    assert is_virtual() and len(pods.lister) == 1

@pytest.mark.aioinformers_virtual_time
class TestClass:
    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", [1, 2])
    async def test_of_a_class(self, number):
        assert is_virtual()

    def test_plain_ones_may_be_among_them(self):
        pass

@pytest.mark.asyncio
async def test_others_keep_their_loop(aioinformers_server):
    assert not is_virtual()
"""
REFUSED = """
import pytest

@pytest.mark.aioinformers_virtual_time
def test_plain():
    pass

@pytest.mark.aioinformers_virtual_time
@pytest.mark.anyio
async def test_of_anyio():
    pass
"""
ON_A_PARAMETER = """
import pytest

@pytest.mark.asyncio
@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.aioinformers_virtual_time)])
async def test_on_a_parameter(number):
    pass
"""
OF_ANYIO = """
import asyncio
import pytest
from aioinformers.testing import VirtualTimeLoop

@pytest.fixture(params=["asyncio", ("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["real", "virtual"])
def anyio_backend(request):
    return request.param

@pytest.mark.anyio
async def test_of_anyio(aioinformers_server, aioinformers_factory, anyio_backend):
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop) is (anyio_backend != "asyncio")
    pods = aioinformers_factory.core.v1.pods()
    await aioinformers_factory.start()
    await aioinformers_factory.wait_for_cache_sync(timeout=60)
"""
OF_A_MODULE = """
import pytest

@pytest.mark.asyncio(loop_scope="module")
async def test_of_a_module(aioinformers_server):
    pass
"""
HOOKED = """
import asyncio

def pytest_asyncio_loop_factories(config, item):
    return {"other": Other}

class Other(asyncio.SelectorEventLoop):
    pass
"""


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line: what has passed and failed."""
    return done.stdout.strip().splitlines()[-1].partition(" in ")[0] if done.stdout.strip() else done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_mark_gives_tests_virtual_time_in_either_mode(tmp_path: Path, mode: str) -> None:
    done = run_pytest(tmp_path, VIRTUAL, "--strict-markers", "-o", f"asyncio_mode={mode}")
    assert outcome(done) == "5 passed", done.stdout


@pytest.mark.slow
def test_the_mark_goes_before_loops_that_users_choose_and_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(HOOKED)
    text = VIRTUAL.replace("assert not is_virtual()", 'assert type(asyncio.get_running_loop()).__name__ == "Other"')
    done = run_pytest(tmp_path, text, "-o", "asyncio_mode=strict")
    assert outcome(done) == "5 passed", done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (REFUSED, "strict", "is for async tests: in a plain one call run_virtual()"),
        (REFUSED, "auto", "is for tests that pytest-asyncio runs, and this one is marked anyio"),
        (REFUSED, "none", "the mark aioinformers_virtual_time needs pytest-asyncio, which is not installed"),
        (ON_A_PARAMETER, "strict", "belongs on a test, a class or a module: on a parameter"),
        (OF_ANYIO, "auto", "aioinformers_server runs in anyio's loop, and the test in that of pytest-asyncio"),
        (OF_A_MODULE, "strict", "so that the server could not answer: set asyncio_default_fixture_loop_scope = module"),
    ],
)  # fmt: skip
def test_what_cannot_run_in_the_right_loop_says_why(tmp_path: Path, text: str, mode: str, words: str) -> None:
    arguments = ["-p", "no:asyncio"] if mode == "none" else ["-o", f"asyncio_mode={mode}"]
    done = run_pytest(tmp_path, text, *arguments)
    assert done.returncode == 1, done.stdout
    assert words in done.stdout
    assert "passed" not in outcome(done)


@pytest.mark.slow
def test_anyio_may_run_the_tests(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, OF_ANYIO, "-o", "asyncio_mode=strict")
    assert outcome(done) == "2 passed", done.stdout


@pytest.mark.slow
def test_one_loop_for_a_whole_session_serves_the_fixtures_too(tmp_path: Path) -> None:
    scopes = [f"asyncio_default_{each}_loop_scope=session" for each in ("test", "fixture")]
    arguments = [part for scope in scopes for part in ("-o", scope)]
    done = run_pytest(tmp_path, TESTS.format(mark="@pytest.mark.asyncio"), *arguments)
    assert outcome(done) == "3 passed", done.stdout


# -- a consumer ---------------------------------------------------------------------------------------

CONSUMER = '''
"""Counts the Pods that run, per namespace."""

from aioinformers import Added, Deleted


class Counter:
    def __init__(self, factory):
        self.counts = {}
        self.pods = factory.core.v1.pods(field_selector="status.phase=Running")
        self.registration = self.pods.add_event_handler(self.count)

    async def count(self, event):
        by = isinstance(event, Added) - isinstance(event, Deleted)
        self.counts[event.key.namespace] = self.counts.get(event.key.namespace, 0) + by
'''
TESTS_OF_IT = """
import asyncio

import pytest
from kubernetes_asyncio import client

from aioinformers.testing import EventRecorder
from counter import Counter


def running(name):
    meta = client.V1ObjectMeta(name=name, namespace="shop")
    spec = client.V1PodSpec(containers=[client.V1Container(name="c", image="i")])
    return client.V1Pod(metadata=meta, spec=spec, status=client.V1PodStatus(phase="Running"))


@pytest.mark.asyncio
async def test_running_pods_are_counted(aioinformers_server, aioinformers_factory):
    counter = Counter(aioinformers_factory)
    await aioinformers_factory.start()
    await aioinformers_factory.wait_for_cache_sync(timeout=60)
    aioinformers_server.create("Pod", running("web-0"))
    aioinformers_server.create("Pod", {"metadata": {"name": "web-1", "namespace": "shop"}})
    await counter.pods.wait_for("shop/web-0", lambda pod: pod is not None, timeout=60)
    await counter.registration.aclose()
    assert counter.counts == {"shop": 1}


@pytest.mark.aioinformers_virtual_time
async def test_an_outage_of_an_hour_is_survived(aioinformers_server, aioinformers_factory):
    counter = Counter(aioinformers_factory)
    recorder = EventRecorder()
    counter.pods.add_event_handler(recorder)
    await aioinformers_factory.start()
    await aioinformers_factory.wait_for_cache_sync(timeout=60)
    await aioinformers_server.stop()
    await asyncio.sleep(3600)
    await aioinformers_server.start()
    aioinformers_server.create("pods", running("web-0"))
    await recorder.wait_for(lambda events: len(events) == 1, timeout=120)
    assert counter.counts == {"shop": 1}


@pytest.mark.aioinformers_virtual_time
async def test_a_failing_list_is_tried_again(aioinformers_server, aioinformers_factory):
    aioinformers_server.create("pods", running("web-0"))
    aioinformers_server.fail("* pods", status=503, times=3)
    counter = Counter(aioinformers_factory)
    await aioinformers_factory.start()
    await counter.pods.wait_for("shop/web-0", lambda pod: pod is not None, timeout=60)
    await counter.registration.aclose()
    assert counter.counts == {"shop": 1}
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_a_consumer_is_tested_with_what_the_page_on_testing_says(tmp_path: Path, mode: str) -> None:
    """In a folder of its own, with nothing in ``conftest.py``."""
    (tmp_path / "counter.py").write_text(CONSUMER)
    done = run_pytest(tmp_path, TESTS_OF_IT, "--strict-markers", "-o", f"asyncio_mode={mode}", "-o", "pythonpath=.")
    assert outcome(done) == "3 passed", done.stdout
