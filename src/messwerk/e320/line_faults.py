"""What a bad optical head or wire does to a telegram: bytes in, other bytes out.

Each fault is a value; `garble` applies one with a random source of its own, so equal seeds give
equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

BITS_A_BYTE = 10
"""8N1: start bit, eight data bits, stop bit."""


class LineFault(Protocol):
    """One way a line goes wrong."""

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        """What arrives instead of `telegram`."""


@dataclass(frozen=True, slots=True)
class BitFlips:
    """Every bit may be turned over."""

    rate: float = 1e-3

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        return bytes(octet ^ sum(1 << bit for bit in range(8) if rng.random() < self.rate) for octet in telegram)


@dataclass(frozen=True, slots=True)
class LostBytes:
    """Every byte may be missing."""

    rate: float = 0.01

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        return bytes(octet for octet in telegram if rng.random() >= self.rate)


@dataclass(frozen=True, slots=True)
class DoubledBytes:
    """Every byte may come twice."""

    rate: float = 0.01

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        return b"".join(bytes([octet]) * (2 if rng.random() < self.rate else 1) for octet in telegram)


@dataclass(frozen=True, slots=True)
class InsertedBytes:
    """Before every byte a random one may come, as ambient light makes them."""

    rate: float = 0.01

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        return b"".join((rng.randbytes(1) if rng.random() < self.rate else b"") + bytes([octet]) for octet in telegram)


@dataclass(frozen=True, slots=True)
class NoiseBurst:
    """A telegram may have a run of random bytes in it."""

    rate: float = 0.2
    length: int = 12

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        if rng.random() >= self.rate or not telegram:
            return telegram
        at = rng.randrange(len(telegram))
        return (telegram[:at] + rng.randbytes(self.length) + telegram[at + self.length :])[: len(telegram)]


@dataclass(frozen=True, slots=True)
class HalfTelegram:
    """A telegram may break off anywhere."""

    rate: float = 0.2

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        return telegram[: rng.randrange(len(telegram))] if telegram and rng.random() < self.rate else telegram


@dataclass(frozen=True, slots=True)
class Echo:
    """Everything comes back once more."""

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        return telegram + telegram


@dataclass(frozen=True, slots=True)
class WrongBaud:
    """The receiver samples at `ratio` times the sender's bit rate; bytes without a stop bit are dropped."""

    ratio: float = 0.5

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        line = [1] * BITS_A_BYTE  # idle before the first start bit
        for octet in telegram:
            line += [0, *(octet >> bit & 1 for bit in range(8)), 1]
        return self._receive(line)

    def _receive(self, line: list[int]) -> bytes:
        """A UART: wait for a falling edge, then sample the middle of each bit at its own rate."""
        step, at, received = 1.0 / self.ratio, 0.0, bytearray()
        while (at := self._start(line, at)) < len(line):
            samples = [self._level(line, at + (bit + 0.5) * step) for bit in range(BITS_A_BYTE)]
            if samples[0] == 0 and samples[-1] == 1:
                received.append(sum(level << bit for bit, level in enumerate(samples[1:9])))
            at += (BITS_A_BYTE - 0.5) * step
        return bytes(received)

    @staticmethod
    def _level(line: list[int], at: float) -> int:
        return line[int(at)] if at < len(line) else 1

    @staticmethod
    def _start(line: list[int], at: float) -> float:
        place = int(at)
        while place < len(line) and not (line[place] == 0 and (place == 0 or line[place - 1] == 1)):
            place += 1
        return max(at, float(place))


@dataclass(frozen=True, slots=True)
class Silent:
    """The sending LED is dead."""

    def garble(self, telegram: bytes, rng: Random) -> bytes:
        return b""
