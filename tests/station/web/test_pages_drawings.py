"""Load line, load curve and residuals: what goes into the drawings."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from messwerk.identity import ServerId
from messwerk.station.values import ValueState
from messwerk.station.views import LoadCurve, SyncPointView, SyncState
from messwerk.station.web import charts
from messwerk.station.web.language import ENGLISH, GERMAN_LANGUAGE
from messwerk.station.web.source import LoadSample

BERLIN = ZoneInfo("Europe/Berlin")
METER = ServerId(b"\x05\x00\x15\x11\x22\xaa\xbb")
START = 1_795_000_500 // 900 * 900


def curve(states: list[ValueState], powers: list[float | None], exports: list[float | None] | None = None) -> LoadCurve:
    """Quarter hours one after the other."""
    return LoadCurve(
        server_id=METER, resolution_s=900, start_utc=tuple(START + 900 * at for at in range(len(states))),
        import_w=tuple(powers), export_w=tuple(exports or [0.0 if p is not None else None for p in powers]),
        state=tuple(states), gaps=(),
    )  # fmt: skip


def bands(options: dict[str, Any]) -> list[tuple[int, int]]:
    """Start and end of each marked band, in seconds from the start."""
    marked = options["series"][0]["markArea"]["data"]
    return [(first["xAxis"] // 1000 - START, last["xAxis"] // 1000 - START) for first, last in marked]


def test_only_what_is_not_plainly_measured_is_marked() -> None:
    """Runs of one state are one band; verified and unsigned values have none."""
    v, s, m, r = ValueState.VERIFIED, ValueState.SUBSTITUTE, ValueState.MISSING, ValueState.REFUSED
    options = charts.load_curve_options(curve([v, s, s, v, m, r], [1.0, 2.0, 3.0, 4.0, None, None]), ENGLISH, BERLIN)
    assert bands(options) == [(900, 2700), (3600, 4500), (4500, 5400)]
    styles = [first["itemStyle"] for first, _ in options["series"][0]["markArea"]["data"]]
    assert styles[0]["color"] == charts.STATE_COLOURS[s]
    assert "createElement('canvas')" in styles[1][":color"], "gaps are hatched"
    assert styles[2]["color"] == charts.STATE_COLOURS[r]


def test_the_last_interval_is_drawn_to_its_end() -> None:
    """Steps run from edge to edge, so n intervals have n + 1 points; a gap stays a gap."""
    v, m = ValueState.VERIFIED, ValueState.MISSING
    data = charts.load_curve_options(curve([v, m, v], [100.0, None, 300.0]), ENGLISH, BERLIN)["series"][0]["data"]
    assert [point[0] // 1000 - START for point in data] == [0, 900, 1800, 2700]
    assert [point[1] for point in data] == [100.0, None, 300.0, 300.0]


def test_export_is_drawn_downward_and_only_where_there_is_any() -> None:
    """A consumer's chart has one line; a feeder's has two, the second negative."""
    v = ValueState.VERIFIED
    assert len(charts.load_curve_options(curve([v], [5.0]), ENGLISH, BERLIN)["series"]) == 1
    series = charts.load_curve_options(curve([v], [0.0], [1500.0]), GERMAN_LANGUAGE, BERLIN)["series"]
    assert [one["name"] for one in series] == ["Bezug", "Einspeisung"]
    assert series[1]["data"][0][1] == -1500.0


def test_an_empty_month_is_an_empty_chart() -> None:
    """No value at all is drawn without complaint."""
    options = charts.load_curve_options(curve([], []), ENGLISH, BERLIN)
    assert options["series"][0]["data"] == []
    assert bands(options) == []


def test_residuals_tell_used_points_from_outliers() -> None:
    """Outliers keep a symbol of their own; the uncertainty is a band around zero."""
    points = tuple(
        SyncPointView(index=at, utc=START + at, uncertainty_s=0.2, residual_s=residual, used=used, source="pull")
        for at, (residual, used) in enumerate([(0.1, True), (5.0, False), (-0.1, True)])
    )
    sync = SyncState(
        server_id=METER, index_now=3, uncertainty_now_s=0.2, last_sync_utc=START, edge_error_s_max=0.2,
        phase_error_s=None, epochs=(), points=points,
    )  # fmt: skip
    upper, lower, used, outliers = charts.residual_options(sync, ENGLISH, BERLIN)["series"]
    assert [value for _, value in used["data"]] == [0.1, -0.1]
    assert [value for _, value in outliers["data"]] == [5.0]
    assert [value for _, value in upper["data"]] == [-value for _, value in lower["data"]] == [0.2] * 3


@pytest.mark.parametrize(("seconds", "label"), [(1, "−60 s"), (90, "−2 min"), (1_000, "−30 min")])
def test_the_load_line_widens_with_what_it_holds(seconds: int, label: str) -> None:
    """A young line fills its drawing; an old one spans half an hour."""
    samples = [LoadSample(START + at, 1_000.0 + at, 0.0) for at in range(seconds)]
    drawing = charts.load_line(samples, ENGLISH).replace("\u00a0", " ")
    assert label in drawing
    assert drawing.count('class="line-') == 1, "nothing is exported, so there is no line for it"
    assert len(re.findall(r"[ML][\d.]+ [\d.]+", re.search(r'line-import" d="([^"]+)', drawing)[1])) <= 362  # type: ignore[index]


def test_the_load_line_draws_export_below_zero() -> None:
    """Both directions have a line, and the scale names negative watts."""
    samples = [LoadSample(START + at, 300.0, 2_000.0) for at in range(10)]
    drawing = charts.load_line(samples, ENGLISH)
    assert drawing.count('class="line-') == 2
    assert "−2,000" in drawing


def test_month_bounds_follow_summer_time() -> None:
    """October has an hour more than its 31 days, December is followed by January."""
    start, end = charts.month_bounds(2026, 10, BERLIN)
    assert end - start == 31 * 86_400 + 3_600
    start, end = charts.month_bounds(2026, 12, BERLIN)
    assert end - start == 31 * 86_400
