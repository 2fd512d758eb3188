"""Serve sample station and twins on 127.0.0.1: `python sample_server.py PORT FOLDER [empty|moving]`.

The twins are real and measure a constant load, one second a second; the station is made of views.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from nicegui import app as pages
from sample_station import HOUSE, HOUSE_ID, KEY, WORKSHOP, SampleStation

from messwerk import panels
from messwerk.e320 import E320, RamMemory, UserSettings, Variant
from messwerk.e320.faceplate import Faceplate
from messwerk.e750 import BaseModule, Bus, CommunicationModule
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers
from messwerk.station import web

HOUSE_LOAD = ((420.0, 150.0, -1_880.0), (60.0, 0.0, 20.0))
"""P and Q of the E320's phases: the sun wins. [W, var]"""
WORKSHOP_LOAD = ((900.0, 850.0, 730.0), (300.0, 290.0, 250.0))


class Twins:
    """An E320 and an E750 with one base module."""

    def __init__(self, folder: Path) -> None:
        settings = UserSettings(pin_on=False, extended=True)
        self.meter = E320(server_id=HOUSE, variant=Variant(), memory=RamMemory(), settings=settings)
        self.meter.advance(PhasePowers.constant(7_200, *HOUSE_LOAD))
        bus = Bus()
        for part in ("cm", "bm"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        cm_id = ServerId.from_mac(bytes.fromhex("001511220001"))
        self.communication = CommunicationModule(cm_id, bus, folder / "cm", credentials={"station": "secret"})
        self.module = BaseModule(WORKSHOP, KEY, folder / "bm", bus, first_index=14_861_100)
        self.module.advance(PhasePowers.constant(3_600, *WORKSHOP_LOAD))
        plate = Faceplate(HOUSE_ID, self.meter.variant, KEY.public, calibration_year=2026)
        self.face = panels.E320View(self.meter, plate)
        self.rack = panels.RackView(self.communication, [self.module])
        self.tick()

    def tick(self) -> None:
        """One second of both."""
        self.face.ticked(self.meter.tick(PhasePowers.constant(1, *HOUSE_LOAD)))
        self.rack.ticked([self.module.tick(PhasePowers.constant(1, *WORKSHOP_LOAD))], wan_connected=True)


def main() -> None:
    """Serve until killed."""
    port, folder, words = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    app = FastAPI()
    twins = Twins(folder)
    links = panels.mount(meters=[twins.face], racks=[twins.rack])
    web.mount(app, SampleStation(empty="empty" in words, moving="moving" in words), panels=links)
    pages.timer(1.0, twins.tick)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


main()
