"""How to test a reader of meters without a meter: run it with `pytest examples/test_a_reader.py`.

The fixtures `sml_stream`, `e320`, `faults` and `virtual_clock` come with Messwerk. The reader
under test here is SmlLib; put yours in its place.
"""

from smllib.errors import CrcError
from smllib.reader import SmlStreamReader

from messwerk.e320.line_faults import HalfTelegram, NoiseBurst


def read(stream: bytes) -> list[dict[str, object]]:
    """The reader under test: values by OBIS code, one dictionary a telegram."""
    reader = SmlStreamReader()
    reader.add(stream)
    telegrams = []
    while True:
        try:
            frame = reader.get_frame()
        except CrcError:
            continue  # a spoilt telegram; the next one may be whole
        if frame is None:
            return telegrams
        telegrams.append({entry.obis.obis_short: entry.get_value() for entry in frame.get_obis()})


def test_power_is_read_with_its_sign(sml_stream):
    """Feeding in reads as negative power."""
    assert read(sml_stream(p_w=(800, 0, 0)))[0]["16.7.0"] == 800
    assert read(sml_stream(p_w=(800, 0, -2000)))[0]["16.7.0"] == -1200


def test_a_minute_without_waiting(sml_stream, e320, virtual_clock):
    """A minute at 1 kW is 16.6 Wh, and takes milliseconds."""
    before = virtual_clock.utc()
    telegrams = read(sml_stream(seconds=60, p_w=(1000, 0, 0)))
    assert len(telegrams) == 60
    assert telegrams[-1]["1.8.0"] == 16.6
    assert virtual_clock.utc() - before == 60
    assert e320.seconds_index == 84


def test_no_telegrams_without_mains(sml_stream, e320):
    """A power cut silences the meter; after it, 23 seconds of start-up pass before the first push."""
    e320.cut_power()
    assert sml_stream(seconds=5) == b""
    e320.restore_power()
    assert sml_stream(seconds=23) == b""
    assert len(read(sml_stream(seconds=1))) == 1


def test_a_bad_optical_head(sml_stream, faults):
    """Noise and broken telegrams cost telegrams but never bring wrong values."""
    faults.inject(NoiseBurst(rate=0.5), duration_s=50)
    faults.inject(HalfTelegram(rate=0.3), duration_s=50)
    telegrams = read(sml_stream(seconds=50, p_w=(321, 0, 0)) + sml_stream(seconds=2, p_w=(321, 0, 0)))
    assert 2 <= len(telegrams) < 52
    assert {telegram["16.7.0"] for telegram in telegrams} == {321}
