"""Claims: a year of seconds of one E320 in under a minute; 1000 live E320 twins on half a core.

The year includes drawing the household's load. A live second of 1000 twins is everything but
the sockets: load, metrology, memory, telegram.
"""

from __future__ import annotations

import json as json_text
import time

from messwerk.e320 import E320, RamMemory, UserSettings, Variant
from messwerk.fleet.loads import LookAhead, household
from messwerk.identity import DeviceId

START_UTC = 1_767_225_600
DAY_S = 86_400
TWINS = 1000
LIVE_S = 5


def make(serial: int) -> E320:
    return E320(
        server_id=DeviceId("LGZ", serial).server_id,
        variant=Variant(),
        memory=RamMemory(),
        settings=UserSettings(pin_on=False, extended=True),
    )


def year_s(days: int = 365) -> float:
    """Processor time to fast-forward a year, extrapolated from `days`."""
    meter, load = make(1), household(1, 3500, 8.0)
    begin = time.process_time()
    for day in range(days):
        meter.advance(load.sample(START_UTC + day * DAY_S, DAY_S))
    return (time.process_time() - begin) * 365 / days


def live_share(twins: int = TWINS) -> float:
    """Share of one core that `twins` meters need in real time."""
    meters = [(make(serial), LookAhead(household(serial))) for serial in range(twins)]
    for meter, load in meters:
        meter.advance(load.load.sample(START_UTC - 30, 30))
        load.second(START_UTC)
    begin = time.process_time()
    for second in range(LIVE_S):
        for meter, load in meters:
            assert meter.tick(load.second(START_UTC + second))
    return (time.process_time() - begin) / LIVE_S


def run(json: bool = False) -> None:
    """Measure and print both claims."""
    year, share = year_s(), live_share()
    if json:
        print(json_text.dumps({"claim": "e320_speed", "year_s": round(year, 1), "live_core_share": round(share, 3)}))
    else:
        print(f"one E320, a year of seconds      {year:6.1f} s of processor time  (claim: below 60 s)")
        print(f"{TWINS} E320 twins, one live second {share:6.3f} s of processor time  (claim: below 0.5 s)")


if __name__ == "__main__":
    run()
