"""Serve the sample station on 127.0.0.1: `python sample_server.py PORT [empty|moving]`."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from sample_station import SampleStation

from messwerk.station import web

app = FastAPI()
station = SampleStation(empty="empty" in sys.argv, moving="moving" in sys.argv)
web.mount(app, station, panels=[])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
