"""What telegrams mean: exact values, direction, status words, data sets, tuples and profiles."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk import sml
from messwerk.errors import SmlError
from messwerk.obis import ObisCode
from messwerk.sml.leniency import Leniency
from messwerk.sml.reading import (
    REDUCED_HINT,
    Reading,
    TelegramReading,
    decimal_text,
    octets_text,
    readings,
)
from messwerk.sml.status import EdlStatus, FnnStatus, status_flags
from messwerk.units import VAR_HOUR, WATT, WATT_HOUR

DZG = bytes.fromhex("0a01445a470002625a00")
LGZ = bytes.fromhex("0a014c475a0003403b49")


def entry(code: str, value: Any, scaler: int | None = None, unit: int | None = None, **more: Any) -> sml.ListEntry:
    return sml.ListEntry(obj_name=bytes(ObisCode.parse(code)), value=value, scaler=scaler, unit=unit, **more)


def file_of(*bodies: Any) -> sml.SmlFile:
    """A file that has been over the wire, so that integers have the widths readers meet."""
    messages = [sml.Message(transaction_id=bytes([number]), body=body) for number, body in enumerate(bodies)]
    return sml.decode(sml.encode(messages))


def listed(*entries: sml.ListEntry, server_id: bytes = LGZ, index: int | None = 4711) -> sml.SmlFile:
    time = None if index is None else sml.SecIndex(index)
    return file_of(sml.GetListResponse(server_id=server_id, act_sensor_time=time, val_list=tuple(entries)))


def read_one(*entries: sml.ListEntry, strict: bool = False, **more: Any) -> TelegramReading:
    (telegram,) = readings(listed(*entries, **more), strict=strict)
    return telegram


# --- values ---


@pytest.mark.parametrize(
    ("raw", "scaler", "text"),
    [
        (54301577, -1, "5430157.7"),
        (0, -1, "0.0"),
        (5, -3, "0.005"),
        (-5, -3, "-0.005"),
        (-29912, -2, "-299.12"),
        (100, -2, "1.00"),
        (2324, 3, "2324000"),
        (0, 3, "0"),
        (-7, 0, "-7"),
        (2**64 - 1, -1, "1844674407370955161.5"),
        (1, -128, "0." + "0" * 127 + "1"),
        (-1, 127, "-1" + "0" * 127),
    ],
)
def test_decimal_text(raw: int, scaler: int, text: str) -> None:
    """Values are written in plain digits, exact, with every decimal the scaler promises."""
    assert decimal_text(raw, scaler) == text


@given(st.integers(-(2**63), 2**64 - 1), st.integers(-128, 127))
def test_decimal_text_is_exact(raw: int, scaler: int) -> None:
    """No value loses a digit or gains an exponent, whatever raw and scaler are."""
    text = decimal_text(raw, scaler)
    assert "E" not in text
    assert Decimal(text) == Decimal((raw < 0, tuple(int(digit) for digit in str(abs(raw))), scaler))


@pytest.mark.parametrize(
    ("octets", "text"),
    [(b"LGZ", "LGZ"), (b"", ""), (bytes.fromhex("0a014c47"), "0a014c47"), (b"a\nb", "610a62"), (b"\xb0C", "b043")],
)
def test_octets_text(octets: bytes, text: str) -> None:
    """Octets are text only where every one of them prints; otherwise hex, so that nothing is hidden."""
    assert octets_text(octets) == text


def test_every_kind_of_value_is_read() -> None:
    """Numbers, octets, truth values, times and missing values all arrive in plain Python."""
    telegram = read_one(
        entry("1.8.0", sml.Unsigned24(12345), -1, WATT_HOUR, status=sml.Unsigned32(0x1C0104)),
        entry("96.50.1*1", b"LGZ"),
        entry("96.5.0", True),
        entry("0.9.11", sml.TimeValue(sml.SecIndex(99))),
        entry("1.1.1", sml.CosemValue(sml.ScalerUnit(scaler=0, unit=30))),
        entry("2.2.2", None),
    )
    assert [one.raw for one in telegram.entries] == [12345, b"LGZ", True, 99, None, None]
    assert [one.text for one in telegram.entries] == ["1234.5", "LGZ", "true", "99", None, None]
    assert [type(one.raw) for one in telegram.entries[:1]] == [int]
    assert [one.number for one in telegram.entries[:3]] == [Decimal("1234.5"), None, None]
    assert (telegram.entries[0].code, telegram.entries[0].name) == ("1-0:1.8.0*255", "active energy +A")
    assert (telegram.entries[0].symbol, telegram.entries[1].symbol) == ("Wh", None)


def test_a_timestamped_value_is_read_as_its_value() -> None:
    """A value wrapped with time and status (SML 1.05) counts as the value."""
    wrapped = sml.TimestampedValue(sml_time=sml.SecIndex(1), status=sml.Unsigned8(0), simple_value=sml.Integer16(-5))
    assert read_one(entry("16.7.0", wrapped, 0, WATT)).power_w == -5


def test_unknown_codes_and_units_are_kept() -> None:
    """What our tables do not know is shown by its number, never dropped."""
    telegram = read_one(entry("1-7:200.201.202*203", sml.Unsigned8(1), 0, 58))
    assert (telegram.entries[0].code, telegram.entries[0].name) == ("1-7:200.201.202*203", None)
    assert telegram.entries[0].symbol == "unit 58"
    assert Reading(obis=b"\x01\x02", raw=1).code == "0102"
    assert Reading(obis=b"\x01\x02", raw=1).name is None


def test_an_entry_is_found_by_its_short_code() -> None:
    """Makers disagree on the last part of a code (quirk Q17), so it counts only when given."""
    telegram = read_one(entry("1.8.0*1", sml.Unsigned8(1)), entry("1.8.0*96", sml.Unsigned8(2)))
    found = [telegram.get(code) for code in ("1.8.0", "1.8.0*96", "1.8.0*7", bytes(ObisCode.parse("1.8.0*96")))]
    assert [one.raw if one else None for one in found] == [1, 2, None, 2]


# --- identity and time ---


def test_maker_and_device() -> None:
    """The maker comes from the telegram (both spellings of its code), else from the server ID."""
    assert read_one(entry("96.50.1*1", b"LGZ"), server_id=DZG).manufacturer == "LGZ"
    assert read_one(entry("129-129:199.130.3", b"EMH"), server_id=DZG).manufacturer == "EMH"
    assert read_one(server_id=DZG).manufacturer == "DZG"
    assert read_one(server_id=b"1001185").manufacturer is None
    assert str(read_one(server_id=LGZ).server_id) == "1 LGZ 00 5454 1129"


def test_the_seconds_index_is_found_where_meters_put_it() -> None:
    """The list's time, else the file's, else an entry's; a bare one (Q2) and dummies (Q8) included."""
    opened = sml.PublicOpenResponse(req_file_id=b"\x01", server_id=LGZ, ref_time=sml.SecIndex(7))
    empty = sml.GetListResponse(server_id=LGZ, val_list=())
    assert read_one(index=5).seconds_index == 5
    assert readings(file_of(opened, empty))[0].seconds_index == 7
    late = entry("1.8.0", sml.Unsigned8(1), val_time=sml.BareSecIndex(9))
    assert read_one(entry("96.1.0", b"x", val_time=sml.SecIndex(0)), late, index=None).seconds_index == 9
    assert read_one(index=None).seconds_index is None


def test_a_date_is_no_seconds_index() -> None:
    """UTC times and indexes never stand in for each other (quirk Q20)."""
    for time in (
        sml.Timestamp(1_700_000_000),
        sml.LocalTimestamp(timestamp=1_700_000_000, local_offset=60, season_time_offset=60),
    ):
        (telegram,) = readings(file_of(sml.GetListResponse(server_id=LGZ, act_sensor_time=time, val_list=())))
        assert (telegram.seconds_index, telegram.timestamp) == (None, 1_700_000_000)


# --- status ---


@pytest.mark.parametrize(
    ("word", "flags"),
    [
        (0x1C0104, FnnStatus.ABOVE_STARTING_POWER | FnnStatus.L1_VOLTAGE | FnnStatus.L2_VOLTAGE | FnnStatus.L3_VOLTAGE),
        (0x1C0004, FnnStatus.L1_VOLTAGE | FnnStatus.L2_VOLTAGE | FnnStatus.L3_VOLTAGE),
        (0x100104, FnnStatus.ABOVE_STARTING_POWER | FnnStatus.L3_VOLTAGE),
        (0x000004, FnnStatus(0)),
        (0x182, EdlStatus.SYNCHRONOUS),
        (0x1A2, EdlStatus.SYNCHRONOUS | EdlStatus.EXPORTS),
        (0x80, EdlStatus(0)),
        (0x10100, None),
        (0x201C0104, None),
        (0x1_001C_0104, None),
        (0, None),
    ],
)
def test_status_words(word: int, flags: object) -> None:
    """Each family's word gives its named flags; a word of an unknown family gives none."""
    assert status_flags(word) == flags
    assert type(status_flags(word)) is type(flags)


def test_alarms_are_said_in_words() -> None:
    """Faults that the status word reports reach a person as sentences."""
    register = entry("1.8.0", sml.Unsigned8(1), 0, WATT_HOUR, status=sml.Unsigned32(0x1E8704))
    assert read_one(register).hints == (
        "the meter reports a fatal error",
        "the meter has felt a magnet",
        "the terminal cover has been opened",
        "the phases are connected in the wrong order",
    )


def test_a_tuple_status_is_not_taken_for_a_meter_status() -> None:
    """The 64-bit status of SyM² tuples means other things than a base meter's word."""
    tuple_ = sml.TupelEntry(
        server_id=LGZ, sec_index=sml.SecIndex(77), status=0x1C0104,
        unit_pa=30, scaler_pa=-1, value_pa=11, unit_r1=32, scaler_r1=-1, value_r1=12, unit_r4=32, scaler_r4=-1,
        value_r4=13, signature_pa_r1_r4=b"s", unit_ma=30, scaler_ma=-1, value_ma=14, unit_r2=32, scaler_r2=-1,
        value_r2=15, unit_r3=32, scaler_r3=-1, value_r3=16, signature_ma_r2_r3=b"t",
    )  # fmt: skip
    tree = sml.Tree(parameter_name=b"\x81" * 6, parameter_value=sml.TupelParameter(tuple_))
    (telegram,) = readings(
        file_of(sml.GetProcParameterResponse(server_id=LGZ, parameter_tree_path=(b"\x81" * 6,), parameter_tree=tree))
    )
    assert telegram.seconds_index == 77
    assert [(one.code, one.text, one.unit) for one in telegram.entries] == [
        ("1-0:1.8.0*255", "1.1", WATT_HOUR), ("1-0:5.8.0*255", "1.2", VAR_HOUR), ("1-0:8.8.0*255", "1.3", VAR_HOUR),
        ("1-0:2.8.0*255", "1.4", WATT_HOUR), ("1-0:6.8.0*255", "1.5", VAR_HOUR), ("1-0:7.8.0*255", "1.6", VAR_HOUR),
    ]  # fmt: skip
    assert (telegram.status_word, telegram.status) == (0x1C0104, None)


# --- direction ---


def power_entry(code: str, wire_hex: str) -> sml.ListEntry:
    raw = bytes.fromhex(wire_hex)
    value = {1: sml.Integer8, 2: sml.Integer16, 3: sml.Integer24, 4: sml.Integer32}[len(raw)]
    return entry(code, value(int.from_bytes(raw, "big", signed=True)), -2, WATT)


@pytest.mark.parametrize(
    ("server_id", "status", "code", "wire", "text", "put_right"),
    [
        (DZG, 0x1C0104, "16.7.0", "8B28", "356.24", True),
        (DZG, 0x1C0104, "16.7.0", "CAD3A9", "132924.57", True),
        (DZG, 0x040104, "36.7.0", "C60C", "507.00", True),
        (DZG, 0x1C6904, "16.7.0", "D6CA", "-105.50", False),
        (DZG, 0x1C2104, "56.7.0", "D6CA", "-105.50", False),
        (DZG, 0x1C0104, "56.7.0", "D6CA", "549.86", True),
        (DZG, 0x1C4104, "76.7.0", "D6CA", "-105.50", False),
        (DZG, 0x1C0104, "16.7.0", "545F", "215.99", False),
        (DZG, 0x1C0104, "16.7.0", "FFFFD6CA", "-105.50", False),
        (DZG, 0x182, "16.7.0", "D6CA", "-105.50", False),
        (LGZ, 0x1C0104, "16.7.0", "D6CA", "-105.50", False),
    ],
)
def test_dzg_sign(server_id: bytes, status: int, code: str, wire: str, text: str, put_right: bool) -> None:
    """Q1: a DZG power cut until its sign bit is set is put right by the status word's direction, and
    only that: true negatives, other makers, wide integers and foreign status words stay as they are."""
    register = entry("1.8.0", sml.Unsigned8(1), -1, WATT_HOUR, status=sml.Unsigned32(status))
    telegram = read_one(register, power_entry(code, wire), server_id=server_id)
    assert telegram.entries[1].text == text
    assert [finding.leniency for finding in telegram.deviations] == [Leniency.DZG_SIGN] * put_right


def test_strict_takes_values_as_they_stand() -> None:
    """Strict reading corrects no sign and leaves no dummy out."""
    register = entry("1.8.0", sml.Unsigned8(1), -1, WATT_HOUR, status=sml.Unsigned32(0x1C0104))
    telegram = read_one(register, power_entry("16.7.0", "8B28"), server_id=DZG, strict=True)
    assert (telegram.entries[1].text, telegram.deviations) == ("-299.12", ())


def test_dummies_are_left_out() -> None:
    """Q8: zeros that DZG meters put into optional fields of texts do not become units or times."""
    telegram = read_one(entry("96.1.0", b"DZG", 0, 0, val_time=sml.SecIndex(0)))
    assert (telegram.entries[0].unit, telegram.entries[0].scaler, telegram.entries[0].time) == (None, None, None)
    assert [finding.leniency for finding in telegram.deviations] == [Leniency.DUMMY_OPTIONALS]


@pytest.mark.parametrize(
    ("entries", "power"),
    [
        ([("16.7.0", -300, 0, WATT, 0x1C0104)], "-300"),
        ([("15.7.0", 1371, -1, WATT, 0x182)], "137.1"),
        ([("15.7.0", 1371, -1, WATT, 0x1A2)], "-137.1"),
        ([("15.7.0", 1371, -1, WATT, 0x1C0904)], "-137.1"),
        ([("15.7.0", 1371, -1, WATT, 0x10100)], None),
        ([("15.7.0", 0, -1, WATT, 0x10100)], "0.0"),
        ([("1.7.0", 500, 0, WATT, 0x82), ("2.7.0", 200, 0, WATT, None)], "300"),
        ([("1.7.1", -56321916, -4, WATT, 0x82)], "-5632.1916"),
        ([("2.7.0", 200, 0, WATT, 0x82)], "-200"),
        ([("1.8.0", 5, 0, WATT_HOUR, 0x82)], None),
        ([("16.7.0", 5, 0, VAR_HOUR, 0x82)], None),
    ],
)
def test_signed_power(entries: list[tuple[str, int, int, int, int | None]], power: str | None) -> None:
    """Power has a sign, + for import, from whichever codes a meter sends (Q6: from the status word)."""
    telegram = read_one(
        *(
            entry(code, sml.Integer32(raw), scaler, unit, status=None if status is None else sml.Unsigned32(status))
            for code, raw, scaler, unit, status in entries
        )
    )
    assert (None if telegram.power_w is None else f"{telegram.power_w:f}") == power


def test_a_direction_from_the_status_word_is_reported() -> None:
    """Q6: that a sign was taken from elsewhere than the value stands in the deviations and hints."""
    exporting = entry("15.7.0", sml.Integer16(1371), -1, WATT, status=sml.Unsigned16(0x1A2))
    assert [(one.leniency, one.detail) for one in read_one(exporting).deviations] == [
        (Leniency.DIRECTION_BIT, "-137.1 W")
    ]
    unknown = entry("15.7.0", sml.Integer16(1371), -1, WATT, status=sml.Unsigned32(0x10100))
    assert "no direction" in read_one(unknown).hints[0]


# --- data set ---


@pytest.mark.parametrize(
    ("entries", "reduced"),
    [
        ([("1.8.0", 3, WATT_HOUR)], True),
        ([("1.8.0", 3, WATT_HOUR), ("2.8.0", 3, WATT_HOUR)], True),
        ([("1.8.0", -1, WATT_HOUR), ("16.7.0", 0, WATT)], False),
        ([("1.8.0", -1, WATT_HOUR)], False),
        ([("1.8.0", 3, WATT_HOUR), ("16.7.0", 0, WATT)], False),
        ([], False),
    ],
)
def test_reduced_data_set(entries: list[tuple[str, int, int]], reduced: bool) -> None:
    """A meter whose PIN was not entered says so by whole kWh and no power, and we say it in words."""
    telegram = read_one(*(entry(code, sml.Unsigned16(1), scaler, unit) for code, scaler, unit in entries))
    assert telegram.reduced is reduced
    assert telegram.hints == ((REDUCED_HINT,) if reduced else ())


# --- other messages ---


def test_a_profile_gives_a_reading_a_row() -> None:
    """Each registration period of a profile, in either form, is one reading with its own time."""
    header = (sml.ProfObjHeaderEntry(obj_name=bytes(ObisCode.parse("1.8.0")), unit=30, scaler=-1),)
    rows = tuple(
        sml.ProfObjPeriodEntry(
            val_time=sml.SecIndex(index), status=0, value_list=(sml.ValueEntry(value=sml.Unsigned8(index // 900)),)
        )
        for index in (900, 1800)
    )
    pack = sml.GetProfilePackResponse(
        server_id=LGZ, act_time=sml.SecIndex(2000), reg_period=900, parameter_tree_path=(b"\x01" * 6,),
        header_list=header, period_list=rows,
    )  # fmt: skip
    single = sml.GetProfileListResponse(
        server_id=LGZ, act_time=sml.SecIndex(2000), reg_period=900, parameter_tree_path=(b"\x01" * 6,),
        val_time=sml.SecIndex(2700), status=4,
        period_list=(sml.PeriodEntry(obj_name=header[0].obj_name, unit=30, scaler=-1, value=sml.Unsigned8(3)),),
    )  # fmt: skip
    found = readings(file_of(pack, single))
    assert [(one.seconds_index, one.entries[0].text) for one in found] == [(900, "0.1"), (1800, "0.2"), (2700, "0.3")]


def test_parameters_give_one_reading() -> None:
    """The leaves of a parameter tree are read together, in order."""
    leaf = sml.Tree(parameter_name=bytes(ObisCode.parse("96.1.0")), parameter_value=sml.ValueParameter(b"abc"))
    listed_leaf = sml.Tree(
        parameter_name=b"\x02" * 6, parameter_value=sml.ListEntryParameter(entry("1.8.0", sml.Unsigned8(4)))
    )
    tree = sml.Tree(parameter_name=b"\x81" * 6, child_list=(leaf, listed_leaf))
    (telegram,) = readings(
        file_of(sml.GetProcParameterResponse(server_id=LGZ, parameter_tree_path=(b"\x81" * 6,), parameter_tree=tree))
    )
    assert [one.text for one in telegram.entries] == ["abc", "4"]


def test_a_file_without_values_is_still_seen() -> None:
    """Requests and attentions carry no values; they give one empty reading, so nothing goes unseen."""
    (telegram,) = readings(file_of(sml.PublicOpenResponse(req_file_id=b"\x01", server_id=LGZ)))
    assert (telegram.server_id, telegram.entries, telegram.hints) == (LGZ, (), ())
    (telegram,) = readings(file_of(sml.GetListRequest(client_id=b"me")))
    assert (telegram.server_id, telegram.manufacturer, telegram.power_w, telegram.reduced) == (None, None, None, False)


# --- against the peers, on real meters ---


def frames_of(path: Path) -> list[sml.Frame]:
    decoder = sml.FrameDecoder()
    return [event for event in decoder.receive(path.read_bytes()) + decoder.close() if isinstance(event, sml.Frame)]


def test_smllib_agrees_on_real_meters(shared: Path) -> None:
    """SmlLib gives the same codes, values, units and scalers, except where it is known to fail."""
    from smllib import SmlStreamReader
    from smllib.errors import SmlLibException
    from smllib.sml import SmlGetListResponse

    compared = 0
    for path in sorted((shared / "captures").glob("*.bin")):
        for frame in frames_of(path):
            reader = SmlStreamReader()
            reader.add(frame.raw)
            try:
                theirs = [
                    one
                    for message in reader.get_frame().parse_frame()
                    if isinstance(message.message_body, SmlGetListResponse)
                    for one in message.message_body.val_list
                ]
            except (SmlLibException, ValueError):
                assert "with_error" in path.name, "SmlLib refuses only the meter without a value (Q12)"
                continue
            (ours,) = readings(sml.decode(frame.payload), strict=True)
            assert len(ours.entries) == len(theirs)
            for mine, other in zip(ours.entries, theirs, strict=True):
                assert mine.obis.hex() == other.obis
                assert (mine.unit, mine.scaler) == (other.unit, other.scaler)
                if isinstance(mine.raw, int):
                    assert mine.raw == other.value
                    compared += 1
    assert compared > 400


def test_pysml_agrees_on_real_meters(shared: Path) -> None:
    """pysml, which also corrects the DZG sign, gives the same numbers as we do."""
    from sml import SmlBase

    compared = 0
    for path in sorted((shared / "captures").glob("*.bin")):
        for frame in frames_of(path)[:3]:
            _, theirs = SmlBase.find_frame(frame.raw)
            assert theirs is not None
            (ours,) = readings(sml.decode(frame.payload))
            lists = [message["messageBody"] for message in theirs if "valList" in message["messageBody"]]
            for other in lists[0]["valList"]:
                if isinstance(other.get("value"), (int, float)):
                    mine = ours.get(ObisCode.parse(other["objName"]))
                    assert mine is not None
                    assert float(mine.number or 0) == pytest.approx(other["value"], rel=1e-12)
                    compared += 1
    assert compared > 50


@given(st.binary(max_size=60))
def test_readings_never_fail_on_what_decodes(data: bytes) -> None:
    """Whatever decodes can be read, shown and asked for its power without an exception."""
    body = sml.GetListResponse(server_id=data[:3], val_list=(sml.ListEntry(obj_name=data[3:9], value=data[9:]),))
    try:
        file = file_of(body)
    except SmlError:
        return
    for telegram in readings(file):
        assert all(one.text is None or one.text.isprintable() for one in telegram.entries)
        assert telegram.power_w is None
        assert isinstance(telegram.hints, tuple)
