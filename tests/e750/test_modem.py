"""The modem: Hayes commands, calls, pace, escape; and a meter read through it at 2400 bit/s."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e750_rack import Rack, powers
from messwerk import sml
from messwerk.e750 import object_names as names
from messwerk.e750.modem import COMMAND_MAX, GUARD_S, QUEUE_MAX, Modem, Modulation, TelephoneNetwork
from messwerk.sml.session import SmlClient


class Echo:
    """Answers everything with itself."""

    def receive(self, data: bytes) -> bytes:
        return data

    def data_to_send(self) -> bytes:
        return b""


def network(answer: object = Echo, number: str = "030 1234") -> TelephoneNetwork:
    telephone = TelephoneNetwork()
    telephone.connect(number, answer)  # type: ignore[arg-type]
    return telephone


def typed(modem: Modem, line: str, now: float = 0.0) -> str:
    modem.receive(line.encode() + b"\r", now)
    return modem.data_to_send(now).decode()


def dialled(modem: Modem, number: str = "0301234", now: float = 0.0) -> float:
    """Dial and wait for the result; returns the time after it."""
    typed(modem, f"ATE0DT{number}", now)
    assert modem.next_deadline is not None
    return modem.next_deadline


def until(modem: Modem, moment: float) -> bytes:
    """Everything the station hears up to a moment, asked for at every deadline."""
    heard = b""
    while modem.next_deadline is not None and modem.next_deadline < moment:
        heard += modem.data_to_send(modem.next_deadline)
    return heard + modem.data_to_send(moment)


COMMANDS = [
    ("AT", "\r\nOK\r\n"),
    ("at", "\r\nOK\r\n"),
    ("ATZ", "\r\nOK\r\n"),
    ("AT&F E1 V1 Q0 L0 M0 X4 &C1 &D2", "\r\nOK\r\n"),
    ("ATI", "\r\nMesswerk modem, V.22bis V.32 V.32bis V.34\r\n\r\nOK\r\n"),
    ("ATS0=2", "\r\nOK\r\n"),
    ("ATS7?", "\r\n060\r\n\r\nOK\r\n"),
    ("ATS0=256", "\r\nERROR\r\n"),
    ("AT+MS=V22B", "\r\nOK\r\n"),
    ("AT+MS=V99", "\r\nERROR\r\n"),
    ("ATH", "\r\nOK\r\n"),
    ("ATO", "\r\nERROR\r\n"),
    ("ATK", "\r\nERROR\r\n"),
    ("hello", "\r\nERROR\r\n"),
    ("", ""),
]


@pytest.mark.parametrize(("line", "answer"), COMMANDS)
def test_commands_answer_as_the_hayes_set_does(line: str, answer: str) -> None:
    """What a station's driver sends to set a modem up is understood or refused, with echo."""
    assert typed(Modem(network()), line) == line + "\r" + answer


def test_results_can_be_numbers_or_silent_and_the_line_is_edited() -> None:
    """ATV0, ATQ1, ATE0 and the backspace key; a line too long is cut, not stored."""
    modem = Modem(network())
    assert typed(modem, "ATE0V0") == "ATE0V0\r0\r"
    assert typed(modem, "ATX\x08\x08\x08ATV1") == "\r\nOK\r\n"
    assert typed(modem, "ATQ1") == ""
    assert typed(modem, "A" * 10_000) == ""
    assert typed(modem, "ATZ") == "\r\nOK\r\n"
    modem.receive(b"x" * 10_000, 0.0)
    assert len(modem._line) == COMMAND_MAX


def test_a_call_connects_after_its_handshake_and_carries_data_at_its_pace() -> None:
    """V.32: seven seconds of handshake, then 960 bytes a second each way, not faster, not slower."""
    modem = Modem(network(), modulation=Modulation.V32)
    now = dialled(modem)
    assert now == 7.0
    assert modem.data_to_send(6.9) == b""
    assert modem.data_to_send(now).endswith(b"CONNECT 9600\r\n")
    modem.receive(b"x" * 1920, now)
    heard = {}
    for tenth in range(1, 50):
        heard[tenth] = len(modem.data_to_send(now + tenth / 10))
    assert sum(heard.values()) == 1920
    assert max(heard.values()) <= 96 + 1
    last = max(tenth for tenth, count in heard.items() if count)
    assert 20 <= last <= 22, "two seconds for 1920 bytes, one step for the way back"


def test_no_answer_busy_and_a_lost_carrier_are_told() -> None:
    """A wrong number, an engaged line, a broken line: the result says which; the line is free afterwards."""
    telephone = network()
    first, second = Modem(telephone), Modem(telephone)
    now = dialled(first, "999")
    assert b"NO ANSWER" in first.data_to_send(now)
    now = dialled(first)
    assert b"CONNECT" in first.data_to_send(now)
    later = dialled(second, now=now)
    assert b"BUSY" in second.data_to_send(later)
    first.carrier_lost()
    assert b"NO CARRIER" in first.data_to_send(later)
    again = dialled(second, now=later)
    assert b"CONNECT" in second.data_to_send(again)


def test_a_key_while_dialling_stops_the_call() -> None:
    """As on every modem: any character before CONNECT gives the call up."""
    modem = Modem(network())
    dialled(modem)
    modem.receive(b"x", 1.0)
    assert b"NO CARRIER" in modem.data_to_send(1.0)
    assert not modem.connected


def test_the_escape_needs_its_silence() -> None:
    """+++ between two seconds of silence is a command, inside data it is data."""
    modem = Modem(network(), modulation=Modulation.V34)
    now = dialled(modem)
    modem.data_to_send(now)
    modem.receive(b"a+++b", now)
    assert until(modem, now + 1) == b"a+++b"
    modem.receive(b"+++", now + 3)
    assert modem.next_deadline == now + 3 + GUARD_S
    assert modem.data_to_send(now + 3 + GUARD_S) == b"\r\nOK\r\n"
    assert modem.connected
    assert "CONNECT 33600" in typed(modem, "ATO", now + 5)
    modem.receive(b"c", now + 6)
    assert until(modem, now + 7) == b"c"
    modem.receive(b"+++", now + 9)
    modem.data_to_send(now + 11)
    assert "OK" in typed(modem, "ATH", now + 11)
    assert not modem.connected


def test_what_is_sent_too_fast_is_dropped_and_counted() -> None:
    """Without flow control a queue has an end; the count says how much was lost."""
    modem = Modem(network(), modulation=Modulation.V22BIS)
    now = dialled(modem)
    modem.data_to_send(now)
    modem.receive(bytes(QUEUE_MAX + 1000), now)
    assert modem.dropped == 1000


def test_a_meter_is_read_over_the_telephone(rack: Rack) -> None:
    """Dial at 2400 bit/s, ask a base module for its identity and profile, hang up: it takes its time and is right."""
    cm, module = rack.communication_module(), rack.base_module()
    module.advance(powers(3000))
    modem = Modem(network(cm.session), modulation=Modulation.V22BIS)
    now = dialled(modem)
    modem.data_to_send(now)
    client = SmlClient(b"station")
    requests = [
        sml.GetProcParameterRequest(parameter_tree_path=(names.IDENTIFICATION,)),
        sml.GetProfilePackRequest(parameter_tree_path=(names.LOAD_PROFILE,)),
    ]
    started = now
    modem.receive(client.request(module.server_id, requests, username="operator", password=b"secret"), now)
    answers, bytes_heard = [], 0
    while not answers:
        assert modem.next_deadline is not None
        now = modem.next_deadline
        heard = modem.data_to_send(now)
        bytes_heard += len(heard)
        answers = client.receive(heard)
    assert [row.val_time.value for row in answers[0].answer(1)[0].period_list] == [900, 1800, 2700]
    assert now - started >= bytes_heard / 240
    modem.carrier_lost()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=30), st.floats(0, 3)), max_size=20))
def test_no_bytes_at_any_time_upset_the_modem(steps: list[tuple[bytes, float]]) -> None:
    """Garbage in any state, in any rhythm: afterwards a reset works."""
    modem, now = Modem(network()), 0.0
    for data, pause in steps:
        modem.receive(data, now)
        modem.data_to_send(now)
        now += pause
    modem.carrier_lost()
    modem.receive(b"\r", now)
    modem.data_to_send(now)
    modem.receive(b"ATQ0V1E0Z\r", now)
    modem.data_to_send(now)
    assert typed(modem, "ATE0", now).endswith("\r\nOK\r\n")
