"""The status page as somebody with a browser sees it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from aioinformers.coordination import LeaderElection
from aioinformers.integrations.page import document as page_module
from aioinformers.integrations.serving import serve_status
from aioinformers.testing import Fault
from tests.browser.showcase import busy
from tests.browser.stage import Program, browser, look, program
from tests.kit import configmap

__all__ = ["browser"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVIL = "<img src=x onerror=globalThis.isEvil=1>"


async def synced(shop: Program, *names: str) -> None:
    """Have the cluster some ConfigMaps, and the program a cache of them."""
    for name in names:
        shop.server.create("configmaps", configmap(name))
    shop.factory.core.v1.configmaps()
    await shop.factory.wait_for_cache_sync(timeout=40)


async def test_what_is_created_appears_within_a_second_and_a_half(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url, haste=1) as tab:
            taken: list[float] = []
            while len(taken) < 10 and min(taken, default=1.5) >= 1.5:  # other work may hold some up
                await tab.is_updated()
                begin, count = time.monotonic(), len(taken) + 2
                name = f"arrival-{count}"
                shop.server.create("configmaps", configmap(name))
                await tab.waits_for(f"document.querySelector('#tail').textContent.includes('default/{name}')")
                await tab.waits_for(f"document.querySelector('[data-label=Objects]').textContent === '{count}'")
                taken.append(time.monotonic() - begin)
            assert min(taken) < 1.5


async def test_focus_and_what_is_open_survive_updates(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url) as tab:
            row = tab.page.locator("summary").first
            await row.click()
            await tab.shows("Requests that have ended")
            await tab.page.evaluate("document.querySelector('#state summary').isTheSame = true")
            shop.factory.core.v1.nodes()  # another row
            await tab.is_updated(2)
            assert await tab.page.evaluate("document.activeElement.isTheSame")
            assert await tab.page.locator("details[open]").count() == 1
            assert await tab.page.locator(".timeline li", has_text="watching").count() == 1
            assert await tab.page.locator("#state summary").count() == 2
            await row.click()
            await tab.is_updated()
            assert await tab.page.locator("details[open]").count() == 0
            assert not await tab.page.get_by_text("Requests that have ended").is_visible()


async def test_a_slow_handler_turns_its_bar(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        (configmaps,) = shop.factory
        may_go = asyncio.Event()

        async def slow(event: object) -> None:
            await may_go.wait()

        configmaps.add_event_handler(slow, name="slow", limit=4)
        async with look(browser, shop.url) as tab:
            await tab.waits_for("document.querySelector('td[data-label=Queued] .bar.good') !== null")
            for number in range(9):
                shop.server.create("configmaps", configmap(f"b-{number}"))
            await tab.waits_for("document.querySelector('td[data-label=Queued] .bar.bad') !== null")
            await tab.waits_for("document.querySelector('tr[data-strain=full]').textContent.includes('9 / 4')")
            assert await tab.page.locator(".banner.odd", has_text="make the handler faster").count() == 1
            may_go.set()
            await tab.waits_for("document.querySelector('td[data-label=Queued] .bar.good') !== null")
            await tab.waits_for("document.querySelector('.banner') === null")


async def test_an_api_server_that_is_gone_is_said_with_its_reason_and_its_return(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url) as tab:
            await tab.waits_for("document.title === 'LIVE · shop'")
            await shop.server.stop()
            await tab.waits_for("document.title === 'DEGRADED · shop'")
            await tab.shows("cannot connect to")
            assert await tab.page.locator("tbody .badge.bad").text_content() == "DEGRADED"
            link = tab.page.locator(".banner.bad a")
            assert (await link.get_attribute("href") or "").endswith("docs/faults.md#networks-and-servers")
            await shop.server.start()
            await tab.waits_for("document.title === 'LIVE · shop'")
            await tab.waits_for("document.querySelector('.banner') === null")


async def test_what_others_have_named_is_shown_as_text(browser: Any) -> None:
    async with program(EVIL) as shop:
        # A server refuses such a name, unless it is no Kubernetes' own.
        renamed = Fault(rewrite=lambda body: body.replace(b'"evil-name"', f'"{EVIL}"'.encode()))
        shop.server.intercept(lambda request: renamed if "configmaps" in request.path else None)
        await synced(shop)
        (configmaps,) = shop.factory
        held = asyncio.Event()

        async def handle(event: object) -> None:
            await held.wait()

        configmaps.add_event_handler(handle, name=EVIL)
        refusal = {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": EVIL}
        shop.server.fail("* secrets", 403, body=refusal, times=None)
        shop.factory.core.v1.secrets(optional=True)
        async with look(browser, shop.url) as tab:
            shop.server.create("configmaps", configmap("evil-name"))
            await tab.waits_for("document.querySelector('#tail').textContent.includes('default/<img')")
            await tab.waits_for("document.querySelector('.banner')?.textContent.includes('<img')")
            await tab.waits_for(
                "document.querySelector('td[data-label=\"Slowest now\"]')?.textContent.includes('<img')"
            )
            await tab.page.locator("summary").first.click()
            await tab.is_updated()
            assert await tab.page.locator("img").count() == 0
            assert not await tab.page.evaluate("globalThis.isEvil")
        held.set()


async def axe(tab: Any) -> Any:
    from axe_playwright_python.async_playwright import Axe

    return await Axe().run(tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_accessible(browser: Any, scheme: str) -> None:
    async with program() as shop, busy(shop), look(browser, shop.url, color_scheme=scheme) as tab:
        await tab.page.locator("summary").first.click()
        await tab.page.locator("summary").nth(1).click()
        await tab.is_updated(2)
        found = await axe(tab.page)
        assert found.violations_count == 0, found.generate_report()


async def test_it_is_never_wider_than_the_window(browser: Any) -> None:
    async with program() as shop, busy(shop):
        long = "a-name-of-a-team-that-somebody-has-thought-about-for-too-long"
        shop.factory.core.v1.pods(namespace=long, label_selector=f"{long}={long}")
        async with look(browser, shop.url) as tab:
            await tab.is_updated()
            for at in range(3):
                await tab.page.locator("summary").nth(at).click()
            for width in (360, 700, 961, 1280):
                await tab.page.set_viewport_size({"width": width, "height": 800})
                await tab.is_updated()
                assert await tab.page.evaluate("document.documentElement.scrollWidth") == width


async def test_a_keyboard_is_enough(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url) as tab:
            press, focus = tab.page.keyboard.press, "document.activeElement.id || document.activeElement.className"
            await press("Tab")
            assert await tab.page.evaluate(focus) == "skip"
            await press("Enter")
            assert await tab.page.evaluate(focus) == "state"
            await press("Tab")
            await press("Enter")
            await tab.shows("Requests that have ended")
            await press("Tab")
            assert await tab.page.evaluate(focus) == "timeline"
            await press("Tab")
            assert await tab.page.evaluate(focus) == "filter"
            await tab.page.keyboard.type("nothing")
            await press("Tab")
            assert await tab.page.evaluate(focus) == "window"
            for _ in range(4):
                await press("Shift+Tab")
            assert await tab.page.evaluate(focus) == "pause"
            await press("Space")
            await tab.shows("Paused")
            await press("Enter")
            await tab.shows("Updated just now")


async def test_pause_holds_everything_and_the_filter_sifts_the_tail(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url) as tab:
            await tab.is_updated()
            for name in ("apple", "pear"):
                shop.server.create("configmaps", configmap(name))
            await tab.shows("default/pear")
            await tab.page.get_by_role("searchbox", name="Filter the tail").fill("APPLE watch")
            await tab.is_updated()
            assert not await tab.page.get_by_text("default/pear").is_visible()
            assert await tab.page.get_by_text("default/apple").is_visible()
            await tab.page.get_by_role("button", name="Pause").click()
            shop.server.create("configmaps", configmap("apple-2"))
            await asyncio.sleep(0.6)
            assert await tab.page.get_by_text("default/apple-2").count() == 0
            await tab.page.get_by_role("button", name="Pause").click()
            await tab.shows("default/apple-2")


async def test_a_program_that_is_gone_makes_the_page_grey_and_its_age_is_said(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with serve_status(shop.factory, port=0) as url:
            context = look(browser, url.replace("127.0.0.1", "localhost") + "/")
            tab = await context.__aenter__()
            await tab.is_updated()
        await tab.waits_for("document.documentElement.classList.contains('late')")
        await tab.shows("s ago: no answer")
        assert all("ERR_CONNECTION_REFUSED" in each for each in tab.complaints), "nothing but what the browser says"
        tab.complaints.clear()
        async with serve_status(shop.factory, port=int(url.rpartition(":")[2])):
            await tab.waits_for("!document.documentElement.classList.contains('late')")
            tab.complaints.clear()
            await context.__aexit__(None, None, None)


async def test_a_tab_that_nobody_sees_asks_for_nothing(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url) as tab:
            await tab.is_updated()
            asked: list[str] = []
            tab.page.on("request", lambda request: asked.append(request.url))
            hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
            tell = "document.dispatchEvent(new Event('visibilitychange'))"
            await tab.page.evaluate(hide % "true" + tell)
            await asyncio.sleep(0.5)  # what was asked for before
            asked.clear()
            await asyncio.sleep(0.6)
            assert asked == []
            await tab.page.evaluate(hide % "false" + tell)
            await tab.is_updated()


async def test_without_javascript_it_is_loaded_anew_and_rows_open(
    browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "REFRESH", 2)
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url, java_script_enabled=False) as tab:
            await tab.page.locator("summary").first.click()
            await tab.shows("Requests that have ended")
            assert await tab.page.locator(".timeline li", has_text="watching").count() == 1
            assert not await tab.page.get_by_role("button").is_visible()
            shop.server.create("configmaps", configmap("b"))
            await tab.shows("default/b")


async def test_two_tabs_do_not_disturb_each_other(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        async with look(browser, shop.url) as one, look(browser, shop.url) as other:
            await one.page.get_by_role("button", name="Pause").click()
            await other.page.locator("summary").first.click()
            shop.server.create("configmaps", configmap("b"))
            await other.shows("default/b")
            assert await one.page.get_by_text("default/b").count() == 0
            assert await one.page.locator("details[open]").count() == 0
        async with look(browser, shop.url) as third:
            await third.is_updated()


async def test_a_program_without_informers_says_so(browser: Any) -> None:
    async with program() as shop, look(browser, shop.url) as tab:
        await tab.shows("No informers yet")
        await synced(shop, "a")
        await tab.shows("configmaps.v1")


PICTURES = Path(__file__).resolve().parents[2] / "docs" / "images"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pictures_for_the_documentation(browser: Any, scheme: str, tmp_path: Path) -> None:
    """They are taken each time, and kept where ``make screenshots`` asks for it."""
    keep = os.environ.get("AIOINFORMERS_SCREENSHOTS") == "1"
    folder, seconds = (PICTURES, 5) if keep else (tmp_path, 0.1)
    folder.mkdir(exist_ok=True)
    async with program("shop-operator") as shop, busy(shop):
        async with look(browser, shop.url, color_scheme=scheme, viewport={"width": 1120, "height": 720}) as tab:
            await tab.page.locator("summary", has_text="app=web").click()
            await tab.page.mouse.move(1, 1)
            await asyncio.sleep(4 * seconds)
            await tab.is_updated()
            await tab.page.screenshot(path=folder / f"status-{scheme}.png", full_page=scheme == "light")
            if scheme == "light":
                await tab.page.locator("summary", has_text="app=web").click()
                await shop.server.stop()
                await tab.waits_for("document.title.startsWith('DEGRADED')")
                await asyncio.sleep(seconds / 2)
                await tab.page.screenshot(path=folder / "status-degraded.png")
                await shop.server.start()
                await tab.waits_for("document.title.startsWith('LIVE')")
        if scheme == "light":
            phone = {"width": 360, "height": 720}
            async with look(browser, shop.url, color_scheme="dark", viewport=phone) as tab:
                await tab.is_updated()
                await tab.page.screenshot(path=folder / "status-360.png")
    sizes = [path.stat().st_size for path in folder.glob("status-*.png")]
    assert all(5_000 < each < 400_000 for each in sizes)
    assert len(sizes) >= 1


async def test_names_of_any_length_cut_off_nothing(browser: Any) -> None:
    async with program() as shop:
        await synced(shop, "a")
        held = asyncio.Event()

        async def handle(event: object) -> None:
            await held.wait()

        (configmaps,) = shop.factory
        configmaps.add_event_handler(handle, name="hangs-" + "y" * 100)
        shop.server.create("configmaps", configmap("z" * 200))
        election = LeaderElection(shop.factory.api_client, "sites", namespace="shop", identity="x" * 200)
        async with (
            election,
            serve_status(shop.factory, elections=[election], port=0, show_keys=True) as url,
            look(browser, url) as tab,
        ):
            await tab.shows("LEADING")
            for width in (1280, 1024, 961, 360):
                await tab.page.set_viewport_size({"width": width, "height": 900})
                cut = await tab.page.evaluate(
                    "[...document.querySelectorAll('.card th, .card td, .banner')].filter("
                    "each => each.getClientRects().length && !each.closest('.drawer')"
                    " && each.getBoundingClientRect().right > innerWidth - 1"
                    " || each.scrollWidth > each.clientWidth + 1 && each.clientWidth).map(each => each.textContent)"
                )
                assert cut == [], width
