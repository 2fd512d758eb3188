"""Hang the panels beside the station's pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from nicegui import ui
from starlette.requests import Request

from ..station.web import PanelLink
from ..station.web.shell import Visitor
from . import e320, e750

PANEL_LOOK: Final = Path(__file__).with_name("panels.css")


def mount(meters: Sequence[e320.E320Source] = (), racks: Sequence[e750.RackSource] = ()) -> tuple[PanelLink, ...]:
    """Register a page for every device and give the links to hand to the station's `mount`.

    Call it before `messwerk.station.web.mount`: that one starts the pages.
    """
    devices = [
        ("E320", f"/panels/e320/{at}", "display, LED and telegram of the base meter") for at in range(len(meters))
    ]
    devices += [
        ("E750", f"/panels/e750/{at}", "rack of modules, signed tuple of this second") for at in range(len(racks))
    ]
    kinds = [kind for kind, _, _ in devices]
    links = tuple(
        PanelLink(f"{kind} {url.rsplit('/', 1)[1]}" if kinds.count(kind) > 1 else kind, url, note)
        for kind, url, note in devices
    )
    for at, meter in enumerate(meters):
        _page(f"/panels/e320/{at}", partial(e320.build, source=meter, links=links))
    for at, rack in enumerate(racks):
        _page(f"/panels/e750/{at}", partial(e750.build, source=rack, links=links))
    return links


def _page(path: str, build: Callable[..., None]) -> None:
    @ui.page(path)
    def panel(request: Request) -> None:
        ui.add_css(PANEL_LOOK)
        build(Visitor.of(request), here=path)
