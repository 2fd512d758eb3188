"""Serial lines: a real or virtual device to read, and a pseudo terminal that acts as a meter.

Devices are opened through `serialx`, which knows termios, USB adapters and Windows, so that we
need not. Found fit for this: it reads 9600 8N1 ptys and adapters through the event loop, locks
the device, empties stale input on opening and reports an unplugged adapter as an OSError.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import serialx

from ..errors import BusyError, LocalError, MesswerkError, PeerLost, SourceError
from .clock import Clock, RealClock
from .tcp import DeferringSession, EndingSession, RequestSession

if sys.platform != "win32":
    import termios
    import tty

log = logging.getLogger(__name__)

BAUD: Final = 9600
"""Bit rate of the INFO interface and of every SML push at an optical head (8N1)."""
BITS_PER_BYTE: Final = 10
"""8N1 on the line: start bit, eight data bits, stop bit."""
SLICE_S: Final = 0.016
"""How often a paced sender wakes: 16 ms is what a UART with a 16-byte FIFO delivers at 9600 Bd."""
ANSWERS_WAITING_MAX: Final = 16
"""Answers that may wait for a slow line."""
LOOK_EVERY_S: Final = 0.05
"""How often a pseudo terminal looks whether somebody has opened it."""
READ_SIZE: Final = 65536

_UNFIT: Final[tuple[type[Exception], ...]] = (
    (OSError, ValueError, termios.error) if sys.platform != "win32" else (OSError, ValueError)
)
"""What opening a device that is no serial line raises; termios has its own error class."""


class SerialLine:
    """An open serial device. Made by `open_serial`; closes itself as a context manager."""

    def __init__(self, path: str, port: serialx.AsyncSerial) -> None:
        self.path = path
        self._port = port

    async def read(self) -> bytes:
        """Whatever has arrived, at least one byte. Raises PeerLost when the device is gone."""
        try:
            data = await self._port.read(READ_SIZE)
        except OSError as error:
            raise PeerLost(f"{self.path} is gone: adapter unplugged or pseudo terminal closed") from error
        if not data:
            raise PeerLost(f"{self.path} is gone: the other side closed it")
        return data

    async def write(self, data: bytes) -> None:
        """Send `data`, waiting until the line has taken it. Raises PeerLost."""
        try:
            await self._port.write(data)
        except OSError as error:
            raise PeerLost(f"{self.path} takes no bytes: {error.strerror or error}") from error

    async def close(self) -> None:
        """Release the device; safe to call twice."""
        with suppress(OSError):
            await self._port.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


async def open_serial(path: str | Path, baud: int = BAUD) -> SerialLine:
    """Open a serial device or pty at `baud` 8N1, alone.

    Raises BusyError when another program holds it, SourceError (with the remedy) when it is
    missing, not ours to open, or no serial device.
    """
    name = str(path)
    port = serialx.async_serial_for_url(name, baudrate=baud, exclusive=True)
    try:
        await port.open()
    except FileNotFoundError as error:
        raise SourceError(f"there is no serial device {name}: is the adapter plugged in?") from error
    except PermissionError as error:
        raise SourceError(f"{name} may not be opened: add your user to its group (often `dialout`)") from error
    except _UNFIT as error:
        with suppress(OSError):
            await port.close()
        if getattr(error, "errno", None) in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK):
            raise BusyError(f"{name} is in use by another program: close that one first") from error
        raise SourceError(f"{name} does not work as a serial device at {baud} Bd: {error}") from error
    return SerialLine(name, port)


class Pty:
    """A pseudo terminal that sends like the optical head of a meter: raw, 9600 8N1.

    One way unless `receive` is called, as `serve_serial` does for a service interface. Readers
    open `path`, a stable symbolic link, as they would open `/dev/ttyUSB0`. Bytes leave
    at the pace of the line. With nobody listening they are lost, as light in an empty room, and
    counted in `bytes_dropped`; sending never blocks.
    """

    def __init__(
        self, path: str | Path, *, baud: int = BAUD, clock: Clock | None = None, keep_input: bool = False
    ) -> None:
        """Create the terminal and its link.

        `keep_input`: what readers send is kept for `take_input`, as far as the system buffers it.
        Raises BusyError when `path` exists and is no link, LocalError when it cannot be made.
        """
        if sys.platform == "win32":
            raise LocalError("Windows has no pseudo terminals: offer the meter on a TCP port instead")
        self.path = Path(path)
        self.bytes_sent = 0
        self.bytes_dropped = 0
        self._keep_input = keep_input
        self._bytes_per_s = baud / BITS_PER_BYTE
        self._clock = clock or RealClock()
        self._sending = asyncio.Lock()
        self._master, slave = os.openpty()
        try:
            self.device = Path(os.ttyname(slave))
            tty.setraw(slave)
        finally:
            # Without a slave held open here, polling the master tells whether a reader is there.
            os.close(slave)
        os.set_blocking(self._master, False)
        self._had_reader = False
        try:
            self._link()
        except BaseException:
            self.close()
            raise

    def _link(self) -> None:
        if self.path.exists() and not self.path.is_symlink():
            raise BusyError(f"{self.path} exists and is no link of ours: choose another name or remove it")
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self.device)
            fresh.replace(self.path)
        except OSError as error:
            raise LocalError(f"the link {self.path} cannot be made: {error.strerror or error}") from error

    @property
    def has_reader(self) -> bool:
        """Whether some program has the terminal open right now."""
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    async def send(self, data: bytes) -> None:
        """Send `data` at line pace: returns when its last bit would have left.

        Byte k becomes readable (k + 1) x 10 bit times after the start, in slices of 16 ms.
        """
        async with self._sending:
            start = self._clock.monotonic()
            sent = 0
            while sent < len(data):
                due = min(len(data), int((self._clock.monotonic() - start) * self._bytes_per_s))
                if due > sent:
                    self._emit(data[sent:due])
                    sent = due
                else:
                    wait_s = min(SLICE_S, (len(data) - sent) / self._bytes_per_s)
                    # Half a bit more, or rounding would wake us just before the byte is due.
                    await self._clock.sleep(wait_s + 0.5 / (self._bytes_per_s * BITS_PER_BYTE))

    def _emit(self, data: bytes) -> None:
        written = 0
        if self._master < 0:
            pass
        elif self.has_reader:
            self._had_reader = True
            with suppress(BlockingIOError):
                written = os.write(self._master, data)
        elif self._had_reader:
            self._had_reader = False
            self._discard_unread()
        if not self._keep_input:
            self.take_input()
        self.bytes_sent += written
        self.bytes_dropped += len(data) - written

    def _discard_unread(self) -> None:
        """Forget what the last reader left, or the next would begin with a stale half telegram."""
        with suppress(OSError, termios.error):
            slave = os.open(self.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                termios.tcflush(slave, termios.TCIFLUSH if self._keep_input else termios.TCIOFLUSH)
            finally:
                os.close(slave)

    def take_input(self) -> bytes:
        """What readers have sent since the last call, b"" when nothing.

        A meter's INFO interface is one-way: unless someone wants the bytes (as light on the
        optical button) they are read away, so that a reader never blocks.
        """
        with suppress(OSError):  # also once closed, when the descriptor is -1
            return os.read(self._master, READ_SIZE)
        return b""

    async def opened(self) -> None:
        """Return when some program has the terminal open."""
        while not self.has_reader:
            await self._clock.sleep(LOOK_EVERY_S)

    async def receive(self) -> bytes:
        """Whatever has been sent, waiting without limit; `b""` once nobody has the terminal open any more.

        Wants `keep_input`, or sending reads the bytes away.
        """
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()

        def ready() -> None:
            if not readable.done():
                readable.set_result(None)

        loop.add_reader(self._master, ready)
        try:
            await readable
        finally:
            if self._master >= 0:
                loop.remove_reader(self._master)
        return self.take_input()

    def close(self) -> None:
        """Remove the link (if it is still ours) and close the terminal; safe to call twice."""
        if self._master < 0:
            return
        with suppress(OSError):
            if self.path.is_symlink() and self.path.readlink() == self.device:
                self.path.unlink()
        os.close(self._master)
        self._master = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


async def serve_serial(pty: Pty, make_session: Callable[[], RequestSession]) -> None:
    """Hold conversations over a pseudo terminal until cancelled: one from each opening to its closing.

    Answers leave at the pace of the line. A peer who asks for more than ANSWERS_WAITING_MAX ahead
    of it is not read from meanwhile. A session that fails ends the conversation, nothing else.
    """
    while True:
        await pty.opened()
        session = make_session()
        waiting: asyncio.Queue[bytes] = asyncio.Queue()
        if isinstance(session, DeferringSession):
            session.attach(waiting.put_nowait)
        sender = asyncio.create_task(_send_from(waiting, pty))
        try:
            while data := await pty.receive():
                if answer := session.receive(data):
                    waiting.put_nowait(answer)
                if waiting.qsize() > ANSWERS_WAITING_MAX:
                    await waiting.join()
        except MesswerkError as error:
            log.warning("conversation on %s ends: %s", pty.path, error)
        except Exception:
            log.exception("conversation on %s failed, please report this", pty.path)
        finally:
            sender.cancel()
            if isinstance(session, EndingSession):
                session.ended()


async def _send_from(waiting: asyncio.Queue[bytes], pty: Pty) -> None:
    while True:
        data = await waiting.get()
        await pty.send(data)
        waiting.task_done()


def list_devices() -> list[str]:
    """Paths of the serial devices this machine has now, for hints in messages."""
    ports: list[Any] = serialx.list_serial_ports()
    return sorted(str(port.device) for port in ports)
