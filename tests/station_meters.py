"""Meters of the station's tests: sign tuples, speak SML, and know the truth the station must find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from messwerk import sml
from messwerk.identity import DeviceId, ServerId
from messwerk.link.clock import VirtualClock
from messwerk.seconds_index import SecondsIndex
from messwerk.signing import Curve, PrivateKey
from messwerk.station.contents import IDENTIFICATION, PUBLIC_KEY, SIGNATURE_EXPORT, SIGNATURE_IMPORT
from messwerk.station.journal import Batch, Kind
from messwerk.station.settings import Settings
from messwerk.station.station import Station
from messwerk.tuples import STATUS_SOI, SignedTuple

MODULE_ID = ServerId.from_mac(bytes.fromhex("00151122aa01"))
COLUMNS = (
    ("0100010801ff", 30), ("0100050801ff", 32), ("0100080801ff", 32), (SIGNATURE_IMPORT.hex(), 255),
    ("0100020801ff", 30), ("0100060801ff", 32), ("0100070801ff", 32), (SIGNATURE_EXPORT.hex(), 255),
)  # fmt: skip


@dataclass
class SigningMeter:
    """A base module reduced to what the wire shows: index 0 is `epoch_utc`."""

    seed: bytes = b"meter"
    epoch_utc: int = 1_790_000_100  # on a quarter hour
    mac: str = "00151122aabb"
    key: PrivateKey = field(init=False)
    server_id: ServerId = field(init=False)
    _signed: dict[tuple[int, int, int], SignedTuple] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = PrivateKey.from_seed(Curve.P256, self.seed)
        self.server_id = ServerId.from_mac(bytes.fromhex(self.mac))

    def utc(self, index: int) -> int:
        return self.epoch_utc + index

    def index(self, utc: int) -> int:
        return utc - self.epoch_utc

    def tuple_at(self, index: int, *, extra_wh: int = 0, status: int | None = None) -> SignedTuple:
        """The tuple of a second; import grows by a pattern only the index decides."""
        soi = STATUS_SOI if self.utc(index) % 900 == 0 else 0
        word = 0x1C0104 | soi if status is None else status
        if (index, extra_wh, word) not in self._signed:
            self._signed[index, extra_wh, word] = SignedTuple.sign(
                self.key, server_id=self.server_id, index=SecondsIndex(index), status=word, scaler=-1,
                import_wh=import_tenths(index) + extra_wh, export_wh=index // 7,
                r1_varh=index // 3, r2_varh=index // 50, r3_varh=0, r4_varh=index // 11,
            )  # fmt: skip
        return self._signed[index, extra_wh, word]

    def rows(self, first_utc: int, count: int) -> list[SignedTuple]:
        """Profile rows on `count` quarter hours."""
        return [self.tuple_at(self.index(first_utc + 900 * place)) for place in range(count)]

    # --- telegrams -------------------------------------------------------------------------

    def identity(self, number: int = 1, key: PrivateKey | None = None) -> bytes:
        point = (key or self.key).public.point
        tree = sml.Tree(
            parameter_name=IDENTIFICATION,
            child_list=(
                sml.Tree(
                    parameter_name=bytes.fromhex("8181c78202ff"),
                    parameter_value=sml.ValueParameter(bytes.fromhex("8181c78241ff")),
                ),
                sml.Tree(parameter_name=PUBLIC_KEY, parameter_value=sml.ValueParameter(point)),
            ),
        )
        body = sml.GetProcParameterResponse(
            server_id=self.server_id, parameter_tree_path=(IDENTIFICATION,), parameter_tree=tree
        )
        return file(number, self.server_id, [body])

    def answer(self, index: int, number: int = 1) -> bytes:
        """The answer to a request for the current tuple; says the index."""
        return file(number, self.server_id, [self._current(self.tuple_at(index))], index=index)

    def time(self, index: int, number: int = 1) -> bytes:
        """An answer that says the index and nothing else."""
        return file(number, self.server_id, [], index=index)

    def _current(self, signed: SignedTuple) -> sml.Body:
        path = (bytes.fromhex("8181c78401ff"), bytes.fromhex("8181c78404ff"))
        tree = sml.Tree(parameter_name=path[1], parameter_value=sml.TupelParameter(signed.to_entry()))
        return sml.GetProcParameterResponse(server_id=self.server_id, parameter_tree_path=path, parameter_tree=tree)

    def pack(self, rows: Sequence[SignedTuple], number: int = 1) -> bytes:
        """A GetProfilePack answer."""
        return file(number, self.server_id, [self.pack_body(rows)])

    def pack_body(self, rows: Sequence[SignedTuple]) -> sml.GetProfilePackResponse:
        return sml.GetProfilePackResponse(
            server_id=self.server_id, act_time=sml.SecIndex(0), reg_period=900,
            parameter_tree_path=(bytes.fromhex("0100630100ff"),),
            header_list=tuple(
                sml.ProfObjHeaderEntry(
                    obj_name=bytes.fromhex(name), unit=unit, scaler=0 if unit == 255 else -1
                )
                for name, unit in COLUMNS
            ),
            period_list=tuple(
                sml.ProfObjPeriodEntry(
                    val_time=sml.SecIndex(row.index), status=row.status,
                    value_list=tuple(sml.ValueEntry(value=value) for value in _cells(row)),
                )
                for row in rows
            ),
        )  # fmt: skip

    def push(self, tuples: Iterable[SignedTuple], number: int = 1) -> bytes:
        """A push file of live tuples."""
        return file(number, MODULE_ID, [self._current(signed) for signed in tuples])


def import_tenths(index: int) -> int:
    """+A in 0.1 Wh: a household-like pattern, exact at any second."""
    return index * 2 + (index // 3600) * 700 + (index % 3600) // 5


def _cells(row: SignedTuple) -> tuple[sml.Integer64 | bytes, ...]:
    return (
        sml.Integer64(row.import_wh), sml.Integer64(row.r1_varh), sml.Integer64(row.r4_varh), row.signature_import,
        sml.Integer64(row.export_wh), sml.Integer64(row.r2_varh), sml.Integer64(row.r3_varh), row.signature_export,
    )  # fmt: skip


def file(number: int, server_id: bytes, bodies: Sequence[sml.Body], index: int | None = None) -> bytes:
    """A framed response file."""
    name = number.to_bytes(4, "big")
    opening = sml.PublicOpenResponse(
        req_file_id=name, server_id=server_id, ref_time=None if index is None else sml.SecIndex(index)
    )
    messages = [opening, *bodies, sml.PublicCloseResponse()]
    return sml.frame(
        sml.encode(
            sml.Message(transaction_id=name + place.to_bytes(2, "big"), body=body)
            for place, body in enumerate(messages)
        )
    )


INFO_METER = DeviceId.parse("1LGZ0063539421").server_id


def info_telegram(index: int, import_wh: int = 0, export_wh: int = 0, power_w: int = 0) -> bytes:
    """An INFO telegram of an unsigned base meter; registers in 0.1 Wh."""
    entries = (
        sml.ListEntry(
            obj_name=bytes.fromhex("0100010800ff"), status=sml.Unsigned32(0x1C0104), val_time=sml.SecIndex(index),
            unit=30, scaler=-1, value=sml.Unsigned64(import_wh),
        ),
        sml.ListEntry(
            obj_name=bytes.fromhex("0100020800ff"), val_time=sml.SecIndex(index), unit=30, scaler=-1,
            value=sml.Unsigned64(export_wh),
        ),
        sml.ListEntry(obj_name=bytes.fromhex("0100100700ff"), unit=27, scaler=0, value=sml.Integer64(power_w)),
    )  # fmt: skip
    body = sml.GetListResponse(server_id=INFO_METER, act_sensor_time=sml.SecIndex(index), val_list=entries)
    return file(index, INFO_METER, [body], index=index)


def flip(raw: bytes, signed: SignedTuple) -> bytes:
    """A frame in which one bit of a tuple's import register is flipped, all checksums made right."""
    decoder = sml.FrameDecoder(max_frame=1 << 20)
    (frame,) = decoder.receive(raw)
    assert isinstance(frame, sml.Frame)
    before = signed.import_wh.to_bytes(8, "big", signed=True)
    after = (signed.import_wh ^ 1).to_bytes(8, "big", signed=True)
    messages = []
    for message in sml.decode(frame.payload).messages:
        encoded = sml.encode([message])
        if before in encoded and signed.signature_import in encoded:
            changed = encoded.replace(before, after)
            body = changed[:-4]  # CRC field `63 xx xx` and end of message `00`
            messages.append(with_crc(body))
        else:
            messages.append(encoded)
    return sml.frame(b"".join(messages))


async def bill_month(folder: Path, meter: SigningMeter, start: int, end: int) -> None:
    """Leave a station's folder in which the month [start, end) of a meter is read by daily pulls and billed."""
    station = Station(folder, VirtualClock(end + 7200.0), Settings())
    try:
        for number, utc in enumerate(range(start - 900, end + 1, 86400)):
            count = min(96, (end - utc) // 900 + 1)
            files = [
                meter.identity(3 * number + 1),
                meter.time(meter.index(utc), 3 * number + 2),
                meter.pack(meter.rows(utc, count), 3 * number + 3),
            ]
            at = utc + 0.5
            station.journal.append_all(
                [Batch(kind=Kind.PULL, source="here", raw=raw, received_utc=at, sent_utc=at) for raw in files]
            )
        await station.process()
        await station.make_bills()
    finally:
        await station.close()


def with_crc(body: bytes) -> bytes:
    """A message without its CRC field and end mark, made whole."""
    register = 0xFFFF
    for byte in body:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x8408 if register & 1 else 0)
    return body + b"\x63" + (register ^ 0xFFFF).to_bytes(2, "little") + b"\x00"
