"""Hang the station's pages on one FastAPI application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse, RedirectResponse, Response
from nicegui import app as pages
from nicegui import ui
from starlette.requests import Request

from ...errors import InvalidIdentifier, MesswerkError
from ...identity import ServerId
from . import bill_page, meter_page, meters_page, overview_page
from .language import LANGUAGES
from .shell import FAVICON, LANGUAGE_COOKIE, PREFERENCE_PATH, THEME_COOKIE, THEMES, PanelLink, Visitor
from .source import Recent, StationViews

YEAR_S: Final = 365 * 86_400
DEFAULT_ZONE: Final = ZoneInfo("Europe/Berlin")


def mount(
    app: FastAPI, station: StationViews, *, panels: Sequence[PanelLink] = (), zone: ZoneInfo = DEFAULT_ZONE
) -> None:
    """Serve the station's pages from `app`, at `/`, `/meters`, `/bills`.

    Call it once a process, last: pages registered before (panels, say) and routes already on `app`
    come with it. `panels` are links shown in the navigation, nothing more. Local times on pages
    are those of `zone`. Everything the browser needs is served from here.
    """
    recent = Recent(station)

    @ui.page("/")
    def overview(request: Request) -> None:
        overview_page.build(Visitor.of(request), recent, panels, zone)

    @ui.page("/meters")
    def meters(request: Request, show: str = "all") -> None:
        meters_page.build(Visitor.of(request), station, panels, zone, show=show)

    @ui.page("/meters/{server_id}")
    def meter(request: Request, server_id: str) -> None:
        try:
            known = ServerId.parse(server_id)
        except InvalidIdentifier:
            known = ServerId(server_id.encode()[:32])
        meter_page.build(Visitor.of(request), station, panels, zone, known)

    @ui.page("/bills")
    def bills(request: Request) -> None:
        bill_page.build_list(Visitor.of(request), station, panels, zone)

    @ui.page("/bills/{bill_id}")
    def bill(request: Request, bill_id: str) -> None:
        bill_page.build(Visitor.of(request), station, panels, zone, bill_id)

    @app.get("/bills/{bill_id}.json", include_in_schema=False)
    def bill_json(bill_id: str) -> Response:
        try:
            document = station.bill_json(bill_id)
        except (MesswerkError, KeyError):
            return JSONResponse({"detail": "there is no such bill"}, status_code=404)
        return Response(document, media_type="application/json")

    pages.timer(1.0, recent.refresh)
    serve_pages(app)


def serve_pages(app: FastAPI) -> None:
    """Serve the pages registered so far from `app`, with their switches of language and theme; once a process."""
    app.add_api_route(PREFERENCE_PATH, preference, include_in_schema=False)
    ui.run_with(
        app, title="Messwerk", favicon=FAVICON, dark=None, tailwind=False, reconnect_timeout=10.0,
        binding_refresh_interval=None, show_welcome_message=False,
    )  # fmt: skip


def preference(
    language: Annotated[str | None, Query()] = None,
    theme: Annotated[str | None, Query()] = None,
    back: Annotated[str, Query(max_length=2_000)] = "/",
) -> RedirectResponse:
    """Keep a choice of language or theme in a cookie and go back to the page it was made on."""
    local = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
    response = RedirectResponse(local, status_code=303)
    for name, value, known in ((LANGUAGE_COOKIE, language, LANGUAGES), (THEME_COOKIE, theme, THEMES)):
        if value is not None and value in known:
            response.set_cookie(name, value, max_age=YEAR_S, samesite="lax", httponly=True)
    return response
