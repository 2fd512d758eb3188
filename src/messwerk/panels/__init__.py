"""What a person sees and touches of a device: the E320's face, the E750's rack.

links = mount(meters=[E320View(meter)], racks=[RackView(communication, base_modules)])
messwerk.station.web.mount(app, station, panels=links)
"""

from .e320 import E320Source, E320View
from .e750 import RackSource, RackView
from .mount import mount

__all__ = ["E320Source", "E320View", "RackSource", "RackView", "mount"]
