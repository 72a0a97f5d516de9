"""A page in a real browser, with everything that it said and asked for; what begins with ``dg-`` is a drawn graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


class Visit:
    """An open page with everything that it said and asked for."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = context
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def again(self, address: str) -> None:
        """Read a page anew, as if nothing had been said or asked for before."""
        self.page.goto("about:blank")
        self.complaints.clear()
        self.requests.clear()
        self.page.goto(address)

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def quiet(self) -> bool:
        """Whether nothing was said, and nothing asked for but the page itself."""
        own = self.page.url.partition("#")[0]
        other = [url for url in self.requests if url.partition("#")[0] != own and not url.startswith("data:")]
        return self.complaints == [] and other == []

    def press(self, *keys: str) -> None:
        """Press some keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def focus(self) -> str:
        """The name of what the keyboard acts on."""
        return self.page.evaluate("document.activeElement.id")

    def said(self) -> str:
        """The sentence of a drawing's step."""
        return self.page.locator("#dg-said").inner_text()

    def shown(self, kind: str) -> list[str]:
        """Texts of that kind on edges that can be seen."""
        return self.page.evaluate(
            """kind => [...document.querySelectorAll(`#dg-drawing .label .${kind}`)]
                 .filter(text => text.checkVisibility({ visibilityProperty: true })).map(text => text.textContent)""",
            kind,
        )

    def transforms(self) -> dict[str, tuple[float, float]]:
        """Where everything is that has a place, by key."""
        found = self.page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("#dg-drawing [id]")]
                 .filter(element => element.hasAttribute("transform") && element.getBoundingClientRect().width > 0)
                 .map(element => [element.id.replace("dg-", ""), element.getAttribute("transform")]))"""
        )
        numbers = {key: text.removeprefix("translate(").removesuffix(")").split() for key, text in found.items()}
        return {key: (float(pair[0]), float(pair[1])) for key, pair in numbers.items()}
