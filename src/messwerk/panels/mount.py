"""Hang the panels beside the station's pages, or up on their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from nicegui import ui
from starlette.requests import Request

from ..station.web import PanelLink
from ..station.web.mount import serve_pages
from ..station.web.shell import Text, Visitor, box, frame, link
from . import e320, e750
from .e320_view import E320View

PANEL_LOOK: Final = Path(__file__).with_name("panels.css")
NAVIGATION: Final = 6
"""More panels than this stand on a page of their own instead of in the navigation."""


def mount(meters: Sequence[E320View] = (), racks: Sequence[e750.RackSource] = ()) -> tuple[PanelLink, ...]:
    """Register a page for every device and give the links to hand to the station's `mount`.

    Call it before `messwerk.station.web.mount`: that one starts the pages.
    """
    links = _links(meters, racks)
    for at, meter in enumerate(meters):
        _page(f"/panels/e320/{at}", partial(e320.build, source=meter, links=links))
    for at, rack in enumerate(racks):
        _page(f"/panels/e750/{at}", partial(e750.build, source=rack, links=links))
    return links


def mount_alone(app: FastAPI, meters: Sequence[E320View]) -> None:
    """Serve the panels of these meters from `app`, without a station: the first, or their list, at `/`."""
    links = _links(meters, ())
    places = links if len(links) <= NAVIGATION else ()
    for at, meter in enumerate(meters):
        _page(f"/panels/e320/{at}", partial(e320.build, source=meter, links=places, station=False))
    if len(meters) == 1:
        _page("/", partial(e320.build, source=meters[0], links=(), station=False))
    else:
        _page("/", partial(_list, meters=meters, links=places))
    serve_pages(app)


def _links(meters: Sequence[E320View], racks: Sequence[e750.RackSource]) -> tuple[PanelLink, ...]:
    devices = [
        ("E320", f"/panels/e320/{at}", "display, flashlight and telegram of the base meter")
        for at in range(len(meters))
    ]
    devices += [
        ("E750", f"/panels/e750/{at}", "rack of modules, signed tuple of this second") for at in range(len(racks))
    ]
    kinds = [kind for kind, _, _ in devices]
    return tuple(
        PanelLink(f"{kind} {url.rsplit('/', 1)[1]}" if kinds.count(kind) > 1 else kind, url, note)
        for kind, url, note in devices
    )


def _list(visitor: Visitor, *, meters: Sequence[E320View], links: Sequence[PanelLink], here: str) -> None:
    say = visitor.language.say
    with frame(visitor, links, here=here, title=say("Meters"), station=False):
        with box("headline"):
            Text("h1", say("Meters"))
        with box("sheet"), box("pairs tight", "dl"):
            for at, meter in enumerate(meters):
                with box(tag="dt"):
                    link(str(at), f"/panels/e320/{at}")
                Text("dd", meter.title)


def _page(path: str, build: Callable[..., None]) -> None:
    @ui.page(path)
    def panel(request: Request) -> None:
        ui.add_css(PANEL_LOOK)
        build(Visitor.of(request), here=path)
