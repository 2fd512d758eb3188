"""Telegrams to an MQTT broker, announced so that Home Assistant shows them by itself.

    messwerk/<server id>/state         one JSON object a telegram: OBIS code -> exact value
    messwerk/status                    online, offline (the broker's will if we die)
    homeassistant/sensor/…/config      discovery, retained, once a value

The broker may be away for a while: telegrams wait in a short queue, the oldest is dropped first.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from ..errors import LocalError, PeerLost, SourceError
from ..sml.reading import Reading, TelegramReading
from ..units import AMPERE, HERTZ, VAR, VOLT, WATT, WATT_HOUR
from .console import remark
from .formats import Output

BASE_TOPIC: Final = "messwerk"
DISCOVERY_TOPIC: Final = "homeassistant"
"""Prefix Home Assistant listens to unless told otherwise."""
MAX_WAITING: Final = 60
"""Telegrams kept while the broker is away: a minute of them."""
RETRY_S: Final = 5.0
TIMEOUT_S: Final = 10.0
_CLASSES: Final = {
    WATT_HOUR: ("energy", "total_increasing"),
    WATT: ("power", "measurement"),
    VAR: ("reactive_power", "measurement"),
    VOLT: ("voltage", "measurement"),
    AMPERE: ("current", "measurement"),
    HERTZ: ("frequency", "measurement"),
}
"""Home Assistant's device class and state class of each DLMS unit."""


class Mqtt(Output):
    """Publishes every telegram. Entering it connects, so that a wrong address is told at once."""

    def __init__(self, url: str) -> None:
        """`url` is mqtt://[user[:password]@]host[:port][/base topic], or mqtts:// for TLS.

        Raises SourceError when it is not, LocalError when the client library is missing.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise SourceError(f"not an MQTT address ({error})") from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise SourceError("an MQTT broker is written mqtt://[user:password@]host[:port][/topic]")
        self._tls = parts.scheme == "mqtts"
        self._broker = parts.hostname, port or (8883 if self._tls else 1883)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._base = parts.path.strip("/") or BASE_TOPIC
        self._library = _library()
        self._waiting: deque[tuple[str, str, bool]] = deque()
        self._arrived = asyncio.Event()
        self._announced: set[tuple[bytes, bytes]] = set()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Messages given up because the broker was away too long."""

    async def __aenter__(self) -> Self:
        connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._publish_for_ever(connected))
        try:
            await connected
        except self._library.MqttError as error:
            host, port = self._broker
            raise PeerLost(f"the MQTT broker {host}:{port} cannot be used: {error}") from error
        return self

    async def __aexit__(self, *exc: object) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self._arrived.set()
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(2.0):
                while self._waiting and not task.done():  # noqa: ASYNC110, a last chance, bounded above
                    await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def show(self, telegram: TelegramReading) -> None:
        server = (telegram.server_id or b"").hex() or "unknown"
        for entry in telegram.entries:
            self._announce(telegram, entry, server)
        state = {entry.code: entry.text for entry in telegram.entries}
        power = telegram.power_w
        state |= {
            "power_w": None if power is None else f"{power:f}",
            "seconds_index": None if telegram.seconds_index is None else str(telegram.seconds_index),
        }
        self._put(f"{self._base}/{server}/state", json.dumps(state), retain=False)

    def _announce(self, telegram: TelegramReading, entry: Reading, server: str) -> None:
        if entry.number is None or (bytes(telegram.server_id or b""), entry.obis) in self._announced:
            return
        self._announced.add((bytes(telegram.server_id or b""), entry.obis))
        topic = f"{DISCOVERY_TOPIC}/sensor/messwerk_{server}/{entry.obis.hex()}/config"
        self._put(topic, json.dumps(self._discovery(telegram, entry, server)), retain=True)

    def _discovery(self, telegram: TelegramReading, entry: Reading, server: str) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": entry.name or entry.code,
            "unique_id": f"messwerk_{server}_{entry.obis.hex()}",
            "state_topic": f"{self._base}/{server}/state",
            "availability_topic": f"{self._base}/status",
            "value_template": f"{{{{ value_json['{entry.code}'] }}}}",
            "device": {
                "identifiers": [f"messwerk_{server}"],
                "name": f"Meter {telegram.server_id or server}",
                "manufacturer": telegram.manufacturer or "unknown",
                "serial_number": str(telegram.server_id or server),
            },
        }
        if entry.symbol:
            config["unit_of_measurement"] = entry.symbol
        if entry.unit in _CLASSES:
            config["device_class"], config["state_class"] = _CLASSES[entry.unit]
        return config

    def _put(self, topic: str, payload: str, *, retain: bool) -> None:
        """Queue a message. Retained ones (discovery, once a value) are never dropped; states are."""
        states = [message for message in self._waiting if not message[2]]
        if not retain and len(states) >= MAX_WAITING:
            self._waiting.remove(states[0])
            self.dropped += 1
        self._waiting.append((topic, payload, retain))
        self._arrived.set()

    async def _publish_for_ever(self, connected: asyncio.Future[None]) -> None:
        host, port = self._broker
        while True:
            try:
                async with self._library.Client(
                    host, port, username=self._user, password=self._password, timeout=TIMEOUT_S,
                    tls_params=self._library.TLSParameters() if self._tls else None,
                    will=self._library.Will(f"{self._base}/status", "offline", qos=1, retain=True),
                ) as client:  # fmt: skip
                    await client.publish(f"{self._base}/status", "online", qos=1, retain=True)
                    if not connected.done():
                        connected.set_result(None)
                    await self._publish(client)
            except self._library.MqttError as error:
                if not connected.done():
                    connected.set_exception(error)
                    return
                remark(f"the MQTT broker {host}:{port} is away ({error}); trying again every {RETRY_S:g} s")
                await asyncio.sleep(RETRY_S)

    async def _publish(self, client: Any) -> None:
        try:
            while True:
                while self._waiting:
                    topic, payload, retain = self._waiting[0]
                    await client.publish(topic, payload, qos=1, retain=retain)
                    with suppress(ValueError):  # dropped meanwhile
                        self._waiting.remove((topic, payload, retain))
                self._arrived.clear()
                await self._arrived.wait()
        except asyncio.CancelledError:
            with suppress(self._library.MqttError):
                await client.publish(f"{self._base}/status", "offline", qos=1, retain=True)
            raise


def _library() -> ModuleType:
    try:
        import aiomqtt  # an optional extra, and slow to import
    except ImportError as error:
        raise LocalError("for --mqtt install the client library: pip install 'messwerk[mqtt]'") from error
    return aiomqtt
