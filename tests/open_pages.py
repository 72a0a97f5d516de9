"""Pages opened in a real browser for tests of what a reader can do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import made_up_runs as made
from visits import Visit

from difflab.report import cases, details

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

RUN = made.full()
KEYS = details.keys(cases.read(RUN.rows))
SHOWN = "[...document.querySelectorAll('#rows .sortable tbody tr')].filter(r => !r.hidden).map(r => r.id.slice(5))"


def opened(context: BrowserContext, address: str) -> Visit:
    """A page that has been read to its end."""
    visit = Visit(context, address)
    visit.page.wait_for_load_state("load")
    return visit


def hash_of(tab: Page) -> str:
    """What stands after the address, with its #."""
    return tab.evaluate("location.hash")


def wait_until(tab: Page, condition: str) -> None:
    """Wait for an expression of JavaScript to be true; Playwright's own way evaluates texts, which pages forbid."""
    for _ in range(500):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(20)
    raise AssertionError(f"it never came true: {condition}")


def quiet(visit: Visit, address: str) -> bool:
    """Whether nothing was complained of, and nothing fetched but the page itself."""
    bare = address.partition("#")[0]
    others = [url for url in visit.requests if url.partition("#")[0] != bare]
    return visit.complaints == [] and all(url.startswith(("data:", "blob:")) for url in others)
