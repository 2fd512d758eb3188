"""What a person sees and touches of a device: the E320's face, the E750's rack.

links = mount(meters=[E320View(twin, after_s=…)], racks=[RackView(communication, base_modules)])
messwerk.station.web.mount(app, station, panels=links)
"""

from .e320_view import E320View
from .e750 import RackSource, RackView
from .mount import mount, mount_alone

__all__ = ["E320View", "RackSource", "RackView", "mount", "mount_alone"]
