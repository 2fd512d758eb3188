"""The station's pages: readings, times, verdicts and money, for people.

They read frozen views and know no device: links to other pages, such as a device's panel, are
handed in.

    app = FastAPI()
    mount(app, station, panels=[PanelLink("E320", "/panels/e320")])
    uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=8080)).run()
"""

from .mount import mount
from .shell import PanelLink
from .source import StationViews

__all__ = ["PanelLink", "StationViews", "mount"]
