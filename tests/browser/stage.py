"""A browser, and a program to look at with it.

All tests of the module share one event loop and one browser: to start one takes a second. It is Debian's chromium, or
whatever is installed under one of its names; without it, or without playwright, the tests are skipped, unless
``AIOINFORMERS_REQUIRE_BROWSER=1`` says that there must be one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from aioinformers import Settings, SharedInformerFactory
from aioinformers.integrations.serving import serve_status
from aioinformers.testing import FakeAPIServer

__all__ = ["Looking", "Program", "browser", "look", "program"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PATIENCE = 40.0
"""Seconds after which a page that does not show what it should never will, however busy the machine is."""
QUICK_TO_RETRY = Settings(backoff_initial=0.05, backoff_max=0.5)
"""So that the end of an outage is seen soon; a program waits up to thirty seconds."""


def missing(what: str) -> None:
    """Skip a test, or fail it where there must be a browser."""
    if os.environ.get("AIOINFORMERS_REQUIRE_BROWSER") == "1":
        pytest.fail(f"AIOINFORMERS_REQUIRE_BROWSER=1, and there is no {what}")
    pytest.skip(f"there is no {what}: AIOINFORMERS_REQUIRE_BROWSER=1 makes that a failure")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    """A browser."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        missing("playwright (pip install playwright)")
        return
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        missing("chromium (apt-get install chromium)")
        return
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield launched
        finally:
            await launched.close()


class Looking:
    """A tab of the browser.

    Attributes:
        page: The tab.
        complaints: What it has written to its console, and what its Content-Security-Policy has refused.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []

    async def waits_for(self, expression: str, *, seconds: float = PATIENCE) -> None:
        """Wait until an expression in JavaScript is true.

        Playwright's own way has the page evaluate a text, which its Content-Security-Policy refuses.
        """
        async with asyncio.timeout(seconds):
            while not await self.page.evaluate(expression):
                await asyncio.sleep(0.03)

    async def shows(self, text: str, *, seconds: float = PATIENCE) -> None:
        """Wait until the page shows a text."""
        await self.page.get_by_text(text).first.wait_for(timeout=seconds * 1000)

    async def is_updated(self, times: int = 1) -> None:
        """Wait for so many updates that have put something in place."""
        for _ in range(times):
            before = await self.page.evaluate("document.querySelector('#head time').dateTime")
            await self.waits_for(f"document.querySelector('#head time').dateTime !== {before!r}")


@asynccontextmanager
async def look(browser: Any, url: str, *, haste: int = 5, **options: Any) -> AsyncIterator[Looking]:
    """Open a page in a tab of its own; at the end it must not have complained of anything.

    Args:
        browser: The browser.
        url: The page.
        haste: How many times as often as usual it asks for what is new, so that tests need not wait for it.
        options: Further options of the browser's context.
    """
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    try:
        page = await context.new_page()
        looking = Looking(page)
        complain: Callable[[str], None] = looking.complaints.append
        page.on("console", lambda message: complain(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complain(f"error: {error}"))
        await page.add_init_script(
            "document.addEventListener('securitypolicyviolation', (event) => "
            "console.error('refused: ' + event.violatedDirective + ' ' + event.blockedURI))"
        )
        await page.add_init_script(
            f"const later = setTimeout; globalThis.setTimeout = (call, wait) => later(call, wait / {haste})"
        )
        await page.goto(url)
        yield looking
        assert looking.complaints == []
    finally:
        await context.close()


class Program:
    """A program with a status page.

    Attributes:
        server: Its cluster.
        factory: Its factory; nothing is asked for yet.
        url: Where the page is.
    """

    def __init__(self, server: FakeAPIServer, factory: SharedInformerFactory, url: str) -> None:
        self.server = server
        self.factory = factory
        self.url = url


@asynccontextmanager
async def program(name: str = "shop", **options: Any) -> AsyncIterator[Program]:
    """Run a program; options are those of ``serve_status``."""
    async with (
        FakeAPIServer() as server,
        server.api_client() as api,
        SharedInformerFactory(api, name=name, settings=QUICK_TO_RETRY) as factory,
        serve_status(factory, port=0, **{"show_keys": True, **options}) as url,
    ):
        try:
            yield Program(server, factory, url.replace("127.0.0.1", "localhost") + "/")
        finally:
            await factory.shutdown(grace=0)  # handlers may hang on purpose
