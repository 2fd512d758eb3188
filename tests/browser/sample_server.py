"""Serve sample station and twins on 127.0.0.1: `python sample_server.py PORT FOLDER [empty|moving]`.

The twins are real and measure a constant load, one second a second; the station is made of views.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import app as pages
from sample_station import HOUSE, HOUSE_ID, KEY, WORKSHOP, SampleStation

from messwerk import panels
from messwerk.e320 import E320, FirmwareParameters, RamMemory, UserSettings, Variant
from messwerk.e320.faceplate import Faceplate
from messwerk.e320.faults import FaultyMeter
from messwerk.e750 import BaseModule, Bus, CommunicationModule
from messwerk.fleet.extra import Adjustable
from messwerk.fleet.loads import Constant
from messwerk.fleet.twins import Twin
from messwerk.identity import DeviceId, ServerId
from messwerk.metrology import PhasePowers
from messwerk.station import web

HOUSE_LOAD = ((420.0, 150.0, -1_880.0), (60.0, 0.0, 20.0))
"""P and Q of the E320's phases: the sun wins. [W, var]"""
WORKSHOP_LOAD = ((900.0, 850.0, 730.0), (300.0, 290.0, 250.0))
PIN = "1000"
TOUCHED = 4
"""Meters behind the first one that tests may touch, one each."""


class House:
    """An E320 past its start-up, with what hands can do to it."""

    def __init__(self, server_id: ServerId, *, pin_on: bool, speed: int = 1) -> None:
        self.speed = speed
        self.meter = E320(
            server_id=server_id, variant=Variant(), memory=RamMemory(), parameters=FirmwareParameters(pin=PIN),
            settings=UserSettings(pin_on=pin_on, extended=True),
        )  # fmt: skip
        self.meter.advance(PhasePowers.constant(7_200, *HOUSE_LOAD))
        self.load = Adjustable(Constant(*HOUSE_LOAD))
        self.twin = Twin(FaultyMeter(self.meter), self.load)
        self._ticked = time.monotonic()
        self.face = panels.E320View(
            self.twin, after_s=lambda: min(0.999, (time.monotonic() - self._ticked) * speed), terminals=self.load,
            faceplate=Faceplate.of(self.meter),
        )  # fmt: skip

    def tick(self) -> None:
        """One second."""
        self.twin.second(int(time.time()))
        self._ticked = time.monotonic()


class Twins:
    """Some E320 and an E750 with one base module."""

    def __init__(self, folder: Path) -> None:
        self.houses = [House(HOUSE, pin_on=False)]
        self.houses += [
            House(
                DeviceId(HOUSE_ID.maker, HOUSE_ID.serial + number).server_id, pin_on=True, speed=3 if number == 1 else 1
            )
            for number in range(1, TOUCHED + 1)
        ]
        bus = Bus()
        for part in ("cm", "bm"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        cm_id = ServerId.from_mac(bytes.fromhex("001511220001"))
        self.communication = CommunicationModule(cm_id, bus, folder / "cm", credentials={"station": "secret"})
        self.module = BaseModule(WORKSHOP, KEY, folder / "bm", bus, first_index=14_861_100)
        self.module.advance(PhasePowers.constant(3_600, *WORKSHOP_LOAD))
        self.rack = panels.RackView(self.communication, [self.module])
        self.tick()

    def tick(self) -> None:
        """One second of the rack."""
        self.rack.ticked([self.module.tick(PhasePowers.constant(1, *WORKSHOP_LOAD))], wan_connected=True)


def main() -> None:
    """Serve until killed."""
    port, folder, words = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    app = FastAPI()
    twins = Twins(folder)
    links = panels.mount(meters=[house.face for house in twins.houses], racks=[twins.rack])
    web.mount(app, SampleStation(empty="empty" in words, moving="moving" in words), panels=links)
    pages.timer(1.0, twins.tick)
    for house in twins.houses:
        house.tick()
        pages.timer(1 / house.speed, house.tick)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


main()
