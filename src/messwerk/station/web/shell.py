"""What every page has around it and is made of: bar, switches, figures, marks, live text.

A page is built once and then only changed: it registers what follows the snapshot in a `Live`,
and its one timer hands the newest snapshot over. A text that did not change sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final, Generic, TypeVar
from urllib.parse import quote, urlencode

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement
from starlette.requests import Request

from .language import LANGUAGES, Language, choose

LANGUAGE_COOKIE: Final = "messwerk_language"
THEME_COOKIE: Final = "messwerk_theme"
THEMES: Final = ("auto", "light", "dark")
PREFERENCE_PATH: Final = "/preference"
LOOK: Final = Path(__file__).with_name("look.css")

BRAND: Final = (
    '<svg viewBox="0 0 32 32" aria-hidden="true"><rect x="2" y="2" width="28" height="28" rx="8" fill="#0b7a6d"/>'
    '<ellipse cx="16" cy="17" rx="10" ry="3.6" fill="none" stroke="#fff" stroke-width="2"/>'
    '<path d="M16 6v22" stroke="#fff" stroke-width="2" stroke-linecap="round" opacity=".55"/>'
    '<path d="M20.6 19.4l3.4-1.6" stroke="#ffd7d7" stroke-width="3" stroke-linecap="round"/></svg>'
)
"""The disk of a Ferraris meter with its red mark."""
FAVICON: Final = BRAND.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
_THEME_ICONS: Final = {
    "auto": '<circle cx="12" cy="12" r="8"/><path d="M12 4v16a8 8 0 0 0 0-16z" fill="currentColor" stroke="none"/>',
    "light": '<circle cx="12" cy="12" r="4"/><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4'
    ' 7 17M17 7l1.4-1.4"/>',
    "dark": '<path d="M19 14.5A7.5 7.5 0 0 1 9.5 5 7.5 7.5 0 1 0 19 14.5z"/>',
}

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class PanelLink:
    """A page beside the station's own that the navigation shows, e.g. a device's panel."""

    title: str
    url: str
    note: str = ""
    """One line of what it is, in English; translated when it is known."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks: language and theme, from cookies and the browser's own preference."""

    language: Language
    theme: str
    path: str

    @classmethod
    def of(cls, request: Request) -> Visitor:
        """Read from a request; anything unknown falls back to the browser's preference."""
        theme = request.cookies.get(THEME_COOKIE, "auto")
        return cls(
            language=choose(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")),
            theme=theme if theme in THEMES else "auto",
            path=request.url.path,
        )


class Text(TextElement):
    """An HTML element that holds one text, which may change."""

    def __init__(self, tag: str, text: str = "", classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)


class Live(Generic[S]):
    """What on a page follows a snapshot. One timer calls `show`; equal values send nothing."""

    def __init__(self, snapshot: S) -> None:
        self.snapshot = snapshot
        self._followers: list[Callable[[S], object]] = []

    def text(self, tag: str, of: Callable[[S], str], classes: str = "") -> Text:
        """An element whose text is `of(snapshot)`."""
        element = Text(tag, of(self.snapshot), classes)
        self._followers.append(lambda snapshot: element.set_text(of(snapshot)))
        return element

    def classes(self, element: ui.element, of: Callable[[S], str]) -> None:
        """Let the class names of `element` be `of(snapshot)`."""
        element.classes(replace=of(self.snapshot))
        self._followers.append(lambda snapshot: element.classes(replace=of(snapshot)))

    def title(self, element: ui.element, of: Callable[[S], str]) -> None:
        """Let the hover text of `element` be `of(snapshot)`."""
        self.attribute(element, "title", of)

    def attribute(self, element: ui.element, name: str, of: Callable[[S], str]) -> None:
        """Let one attribute of `element` be `of(snapshot)`."""
        element._props[name] = of(self.snapshot)

        def follow(snapshot: S) -> None:
            if element._props.get(name) != (value := of(snapshot)):
                element._props[name] = value
                element.update()

        self._followers.append(follow)

    def html(self, of: Callable[[S], str], classes: str = "") -> ui.html:
        """Markup that is `of(snapshot)`. `of` escapes whatever comes from outside."""
        element = ui.html(of(self.snapshot), sanitize=False).classes(classes)
        self._followers.append(lambda snapshot: element.set_content(of(snapshot)))
        return element

    def follow(self, act: Callable[[S], object]) -> None:
        """Call `act` with every new snapshot."""
        self._followers.append(act)

    def show(self, snapshot: S) -> None:
        """Bring everything that follows up to date."""
        self.snapshot = snapshot
        for follower in self._followers:
            follower(snapshot)


def box(classes: str = "", tag: str = "div") -> ui.element:
    """A plain element to put others in."""
    return ui.element(tag).classes(classes)


def link(text: str, url: str, classes: str = "link") -> Text:
    """A hyperlink with one text."""
    element = Text("a", text, classes)
    element._props["href"] = url
    return element


def markup(content: str, classes: str = "", tag: str = "div") -> ui.html:
    """Our own markup; every value from outside in it has gone through `escape`."""
    return ui.html(content, sanitize=False, tag=tag).classes(classes)


@contextmanager
def sheet(title: str = "", classes: str = "") -> Iterator[ui.element]:
    """A card with a heading."""
    with box(f"sheet {classes}", "section") as section:
        if title:
            Text("h2", title)
        yield section


@contextmanager
def frame(
    visitor: Visitor, links: Sequence[PanelLink], *, here: str, title: str, station: bool = True
) -> Iterator[ui.element]:
    """The page around its content: look, theme, navigation, switches.

    `here` is the path the navigation marks as the present place; `station`: its pages are served.
    """
    say = visitor.language.say
    ui.add_css(LOOK)
    ui.add_head_html(f'<script>document.documentElement.lang = "{visitor.language.code}"</script>')
    ui.dark_mode({"auto": None, "light": False, "dark": True}[visitor.theme])
    ui.page_title(f"{title} · Messwerk")
    with box("topbar", "header"), box("topbar-in"):
        with box("brand", "a").props('href="/" aria-label="Messwerk"'):
            markup(BRAND)
            Text("span", "Messwerk", "desk-only")
        with box(tag="nav").props(f'aria-label="{say("Main")}"'):
            if station:
                for name, url in ((say("Overview"), "/"), (say("Meters"), "/meters"), (say("Bills"), "/bills")):
                    _place(name, url, here)
            if station and links:
                box("split")
            for panel in links:
                _place(panel.title, panel.url, here)
        with box("switches"):
            _switches(visitor)
    ui.query("main.q-page").props('role="presentation"')  # NiceGUI's own: the content below is what is meant
    with box("page", "main") as main:
        yield main


def _place(name: str, url: str, here: str) -> None:
    present = url == here
    element = link(name, url, "here" if present else "")
    if present:
        element._props["aria-current"] = "page"


def _switches(visitor: Visitor) -> None:
    say = visitor.language.say
    for code, language in LANGUAGES.items():
        if code != visitor.language.code:
            element = link(code.upper(), preference_url(visitor.path, language=code), "")
            element.props(f'lang="{code}" hreflang="{code}" title="{language.name}"')
    following = THEMES[(THEMES.index(visitor.theme) + 1) % len(THEMES)]
    names = {"auto": say("Theme follows the system"), "light": say("Light theme"), "dark": say("Dark theme")}
    with box(tag="a") as switch:
        switch._props["href"] = preference_url(visitor.path, theme=following)
        switch._props["title"] = switch._props["aria-label"] = names[visitor.theme]
        markup(f'<svg viewBox="0 0 24 24" aria-hidden="true">{_THEME_ICONS[visitor.theme]}</svg>')


def preference_url(back: str, **choice: str) -> str:
    """Where a click on a switch leads: it keeps the choice in a cookie and returns to `back`."""
    return f"{PREFERENCE_PATH}?{urlencode({**choice, 'back': back}, quote_via=quote)}"


def _no_tone(_: object) -> str:
    return ""


def figure(
    live: Live[S],
    label: str,
    value: Callable[[S], str],
    note: Callable[[S], str],
    *,
    url: str | None = None,
    tone: Callable[[S], str] = _no_tone,
    note_tone: Callable[[S], str] = _no_tone,
) -> None:
    """One big number with its name above and a line of meaning below; leads to `url`.

    `tone` (of the number) and `note_tone` are `good`, `warn`, `bad` or nothing.
    """
    with box("sheet span-3", "a" if url else "div") as card:
        if url:
            card._props["href"] = url
        Text("div", label, "figure-label")
        live.classes(live.text("div", value), lambda snapshot: f"figure-value {tone(snapshot)}")
        live.classes(live.text("div", note), lambda snapshot: f"figure-note {note_tone(snapshot)}")


def mark(state: str, text: str) -> str:
    """Markup of a state mark: symbol by class, text beside it."""
    return f'<span class="mark {state}">{escape(text)}</span>'


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """Markup of a list of names and values; values are markup already."""
    return '<dl class="pairs">' + "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"


def table(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """Markup of a table. `heads` pairs each title with its column's class (`num` is right-aligned).

    Cells are markup already.
    """
    head = "".join(f'<th class="{kind}" scope="col">{escape(title)}</th>' for title, kind in heads)
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{cell}</td>' for cell, (_, kind) in zip(row, heads, strict=True))
        + "</tr>"
        for row in rows
    )
    content = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll" tabindex="0"><table class="rows">{content}</table></div>'
