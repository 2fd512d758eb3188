"""Drawings: the load line as our own SVG, load curve and residuals as ECharts options.

ECharts draws on a canvas and cannot follow the page's theme, so its colours are middle tones that
stand on light and dark ground alike; the SVG takes its colours from the stylesheet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import ceil, floor, log10
from typing import Any, Final
from zoneinfo import ZoneInfo

from ..values import ValueState
from ..views import LoadCurve, SyncState
from .language import Language
from .source import HISTORY_S, LoadSample

INK: Final = "#86918b"
GRID: Final = "rgba(134,145,139,.22)"
IMPORT: Final = "#159a8a"
EXPORT: Final = "#c99a16"
STATE_COLOURS: Final[dict[ValueState, str]] = {
    ValueState.VERIFIED: IMPORT,
    ValueState.UNSIGNED: "#87918c",
    ValueState.SUBSTITUTE: "#d98a1f",
    ValueState.PRELIMINARY: "#4b86e6",
    ValueState.MISSING: "#87918c",
    ValueState.REFUSED: "#d4434c",
}
"""The one colour code of value states, in chart form."""
STATE_NAMES: Final[dict[ValueState, str]] = {
    ValueState.VERIFIED: "measured and verified",
    ValueState.UNSIGNED: "measured, unsigned",
    ValueState.SUBSTITUTE: "substitute",
    ValueState.PRELIMINARY: "preliminary",
    ValueState.MISSING: "missing",
    ValueState.REFUSED: "refused",
}


# --- the line of the last half hour --------------------------------------------------------------


LINE_SPANS_S: Final = (60, 120, 300, 600, HISTORY_S)
"""What the load line may span: the shortest that holds every sample."""
LINE_POINTS: Final = 360
"""The line is thinned to at most so many points."""
LINE_WIDTH, LINE_HEIGHT = 720, 240
_LEFT, _RIGHT, _HEAD, _FOOT = 74, 8, 10, 30


def load_line(samples: Sequence[LoadSample], language: Language) -> str:
    """Import above, export below the zero line, up to now; SVG markup."""
    now = samples[-1].utc
    span_s = next((span for span in LINE_SPANS_S if span >= now - samples[0].utc), HISTORY_S)
    import_w, export_w = max(sample.import_w for sample in samples), max(sample.export_w for sample in samples)
    step = _round_up((import_w + export_w) / 4, least=100)
    top, bottom = step * max(1, ceil(import_w / step)), step * ceil(export_w / step)

    def x(utc: float) -> float:
        return LINE_WIDTH - _RIGHT - (LINE_WIDTH - _LEFT - _RIGHT) * (now - utc) / span_s

    def y(watts: float) -> float:
        return _HEAD + (LINE_HEIGHT - _HEAD - _FOOT) * (top - watts) / (top + bottom)

    parts = []
    for tick in range(round(-bottom / step), round(top / step) + 1):
        watts = tick * step
        parts.append(f'<line x1="{_LEFT}" x2="{LINE_WIDTH - _RIGHT}" y1="{y(watts):.1f}" y2="{y(watts):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 10}" y="{y(watts) + 4:.1f}" text-anchor="end">{language.power(watts)}</text>')
    for share, anchor in ((1.0, "start"), (0.5, "middle"), (0.0, "end")):
        back_s = int(span_s * share)
        amount = language.quantity(-back_s, "s") if back_s < 120 else language.quantity(-back_s // 60, "min")
        text = amount if back_s else language.say("now")
        parts.append(f'<text x="{x(now - back_s):.1f}" y="{LINE_HEIGHT - 6}" text-anchor="{anchor}">{text}</text>')
    thinned = [*list(samples)[: -1 : ceil(len(samples) / LINE_POINTS)], samples[-1]]
    for name in ("import", "export"):
        powers = [sample.import_w if name == "import" else -sample.export_w for sample in thinned]
        points = zip(thinned, powers, strict=True)
        line = "L".join(f"{x(sample.utc):.1f} {y(watts):.1f}" for sample, watts in points)
        area = f"M{x(thinned[0].utc):.1f} {y(0):.1f}L{line}L{x(now):.1f} {y(0):.1f}z"
        if name == "import" or bottom:
            parts.append(f'<path class="area-{name}" d="{area}"/><path class="line-{name}" d="M{line}"/>')
    label = language.say("Load of all meters")
    return f'<svg viewBox="0 0 {LINE_WIDTH} {LINE_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _round_up(watts: float, *, least: float) -> float:
    """The next number with one or two round digits that holds `watts`; `least` for anything below it."""
    if watts <= least:
        return least
    power = 10.0 ** floor(log10(watts))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= watts)


# --- load curve ------------------------------------------------------------------------------------


def load_curve_options(curve: LoadCurve, language: Language, zone: ZoneInfo) -> dict[str, Any]:
    """ECharts options: mean power of each interval, import up and export down, states marked.

    Everything but verified values is marked by a band in its state's colour; gaps are hatched.
    """
    say = language.say
    times = [1000 * start for start in curve.start_utc]
    ends = [*times[1:], 1000 * curve.end_utc] if curve.end_utc is not None else []
    has_export = any(curve.export_w)
    edges = [*times, *ends[-1:]]
    series = [_power_series(say("Import"), edges, curve.import_w, IMPORT, 1)]
    if has_export:
        series.append(_power_series(say("Export"), edges, curve.export_w, EXPORT, -1))
    series[0]["markArea"] = {"silent": True, "data": list(_bands(curve, times, ends))}
    return {
        "animation": False,
        "useUTC": False,
        "aria": {"enabled": True},
        "color": [IMPORT, EXPORT],
        "textStyle": {"fontFamily": "Roboto, system-ui, sans-serif"},
        "grid": {"left": 8, "right": 26, "top": 34, "bottom": 76, "containLabel": True},
        "legend": {"show": has_export, "top": 0, "left": 0, "icon": "roundRect", "itemWidth": 12, "itemHeight": 8,
                   "textStyle": {"color": INK}},
        "tooltip": {
            "trigger": "axis",
            "axisPointer": {"type": "line", "lineStyle": {"color": INK, "type": "dashed"}},
            ":formatter": _tooltip(curve, language, zone),
        },
        "xAxis": {
            "type": "time",
            "min": times[0] if times else None,
            "max": ends[-1] if times else None,
            "axisLine": {"lineStyle": {"color": GRID}},
            "axisTick": {"show": False},
            "axisLabel": {"color": INK, "hideOverlap": True, ":formatter": _axis_time(language, zone)},
        },
        "yAxis": {
            "type": "value",
            "axisLabel": {"color": INK, ":formatter": f"v => (v / 1000).toLocaleString('{_locale(language)}') + ' kW'"},
            "splitLine": {"lineStyle": {"color": GRID}},
        },
        "dataZoom": [
            {"type": "inside", "filterMode": "none", "zoomOnMouseWheel": "ctrl", "moveOnMouseWheel": False},
            {"type": "slider", "filterMode": "none", "height": 30, "bottom": 14, "borderColor": "transparent",
             "backgroundColor": "rgba(134,145,139,.08)", "fillerColor": "rgba(21,154,138,.12)",
             "dataBackground": {"lineStyle": {"color": INK}, "areaStyle": {"color": INK, "opacity": 0.15}},
             "selectedDataBackground": {"lineStyle": {"color": IMPORT}, "areaStyle": {"color": IMPORT, "opacity": 0.2}},
             "handleStyle": {"color": "#cfd6d2", "borderColor": INK}, "moveHandleSize": 0,
             "textStyle": {"color": INK}, "labelFormatter": ""},
        ],
        "series": series,
    }  # fmt: skip


def _power_series(
    name: str, edges: Sequence[int], watts: Sequence[float | None], colour: str, sign: int
) -> dict[str, Any]:
    """Steps from edge to edge; the last value is given once more at the last edge, which ends its step."""
    steps = [None if value is None else round(sign * value, 1) for value in (*watts, *watts[-1:])]
    return {
        "name": name,
        "type": "line",
        "step": "end",
        "symbol": "none",
        "lineStyle": {"width": 1.3, "color": colour},
        "itemStyle": {"color": colour},
        "areaStyle": {"color": colour, "opacity": 0.14},
        "emphasis": {"disabled": True},
        "data": [list(point) for point in zip(edges, steps, strict=True)],
    }


def _bands(curve: LoadCurve, times: Sequence[int], ends: Sequence[int]) -> Iterator[list[dict[str, Any]]]:
    """One band for each run of intervals with the same state that is not plainly verified or unsigned."""
    plain = {ValueState.VERIFIED, ValueState.UNSIGNED}
    first = 0
    for at in range(1, len(times) + 1):
        if at < len(times) and curve.state[at] is curve.state[first]:
            continue
        state = curve.state[first]
        if state not in plain:
            style: dict[str, Any] = {"color": STATE_COLOURS[state], "opacity": 0.22}
            if state is ValueState.MISSING:
                style = {":color": _HATCHING, "opacity": 0.8}
            yield [{"xAxis": times[first], "itemStyle": style}, {"xAxis": ends[at - 1]}]
        first = at


_HATCHING: Final = (
    "(() => { const c = document.createElement('canvas'), g = c.getContext('2d'); c.width = c.height = 8;"
    " g.strokeStyle = 'rgba(134,145,139,.8)'; g.beginPath();"
    " for (const [x, y, u, v] of [[0, 8, 8, 0], [-2, 2, 2, -2], [6, 10, 10, 6]]) { g.moveTo(x, y); g.lineTo(u, v); }"
    " g.stroke(); return {image: c, repeat: 'repeat'}; })()"
)
"""JavaScript that makes the pattern of a gap."""


def _locale(language: Language) -> str:
    return {"en": "en-GB", "de": "de-DE"}[language.code]


def _axis_time(language: Language, zone: ZoneInfo) -> str:
    """JavaScript that writes an axis time in the station's zone: the day, or the hour within a day.

    ECharts places its ticks on the hours of the browser's zone and asks for one text after the
    other, from left to right; ticks most of a day apart are days whatever their hour is here.
    """
    form = f"new Intl.DateTimeFormat('{_locale(language)}', {{timeZone: '{zone.key}', "
    return (
        "(() => { let before = 0; return v => { const d = new Date(v), step = Math.abs(v - before); before = v;"
        f" const hour = {form}hour: '2-digit', minute: '2-digit', hourCycle: 'h23'}}).format(d);"
        f" const day = {form}day: 'numeric', month: 'short'}}).format(d);"
        " return step > 7e7 || hour === '00:00' ? day : hour; }; })()"
    )


def _tooltip(curve: LoadCurve, language: Language, zone: ZoneInfo) -> str:
    """JavaScript that writes interval, powers and state of the point under the pointer."""
    names = json.dumps([language.say(STATE_NAMES[state]) for state in ValueState])
    order = list(ValueState)
    codes = "".join(str(order.index(state)) for state in curve.state)
    locale = _locale(language)
    day = f"new Intl.DateTimeFormat('{locale}', {{timeZone: '{zone.key}', dateStyle: 'medium', timeStyle: 'short'}})"
    return (
        "items => { const at = items[0].axisValue, n = items[0].dataIndex;"
        f" if (n >= {len(codes)}) return '';"
        f" const names = {names}, codes = '{codes}', form = {day};"
        f" const rows = items.map(i => i.marker + i.seriesName + ' <b>' + (i.value[1] == null ? '–' :"
        f" Math.abs(i.value[1]).toLocaleString('{locale}', {{maximumFractionDigits: 0}}) + ' W') + '</b>');"
        f" return form.format(new Date(at)) + ' – ' + form.format(new Date(at + {1000 * curve.resolution_s})).slice(-5)"
        " + '<br>' + rows.join('<br>') + '<br><small>' + names[+codes[n]] + '</small>'; }"
    )


# --- residuals of the time model -------------------------------------------------------------------


def residual_options(sync: SyncState, language: Language, zone: ZoneInfo) -> dict[str, Any]:
    """ECharts options: how far each observed time lies from the model, with its uncertainty as a band."""
    say = language.say
    used = [[1000 * p.utc, round(p.residual_s, 3)] for p in sync.points if p.used]
    outliers = [[1000 * p.utc, round(p.residual_s, 3)] for p in sync.points if not p.used]
    upper = [[1000 * p.utc, round(p.uncertainty_s, 3)] for p in sync.points]
    lower = [[at, -value] for at, value in upper]
    epochs = [{"xAxis": 1000 * epoch.start_utc} for epoch in sync.epochs[1:]]
    edge = {"type": "line", "symbol": "none", "lineStyle": {"color": INK, "width": 1, "type": "dotted"}, "silent": True}
    return {
        "animation": False,
        "textStyle": {"fontFamily": "Roboto, system-ui, sans-serif"},
        "grid": {"left": 8, "right": 26, "top": 12, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "item", ":valueFormatter": "v => Array.isArray(v) ? v[1] + ' s' : v + ' s'"},
        "xAxis": {
            "type": "time",
            "axisLine": {"lineStyle": {"color": GRID}},
            "axisTick": {"show": False},
            "axisLabel": {"color": INK, "hideOverlap": True, ":formatter": _axis_time(language, zone)},
        },
        "yAxis": {
            "type": "value",
            "scale": True,
            "axisLabel": {"color": INK, ":formatter": f"v => v.toLocaleString('{_locale(language)}') + ' s'"},
            "splitLine": {"lineStyle": {"color": GRID}},
        },
        "series": [
            {**edge, "name": say("uncertainty"), "data": upper},
            {**edge, "name": say("uncertainty"), "data": lower},
            {"type": "scatter", "name": say("residual"), "symbolSize": 5, "itemStyle": {"color": IMPORT}, "data": used,
             "markLine": {"symbol": "none", "silent": True, "label": {"show": False}, "data": epochs,
                          "lineStyle": {"color": INK}}},
            {"type": "scatter", "name": say("outlier"), "symbol": "diamond", "symbolSize": 8,
             "itemStyle": {"color": STATE_COLOURS[ValueState.REFUSED]}, "data": outliers},
        ],
    }  # fmt: skip


def month_bounds(year: int, month: int, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of a local calendar month in UTC seconds."""
    following = (year + month // 12, month % 12 + 1)
    start, end = (datetime(y, m, 1, tzinfo=zone) for y, m in ((year, month), following))
    return int(start.timestamp()), int(end.timestamp())
