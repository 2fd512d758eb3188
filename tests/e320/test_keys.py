"""Seams for the wired interface: key store, secured operation, crypto reset."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messwerk.e320 import E320, Error, NonVolatile, RamMemory, Variant, restore, snapshot
from messwerk.e320.keys import COUNTER_LIMIT, KeyStore
from messwerk.e320.nonvolatile import Memory
from messwerk.errors import StoreDamaged
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers

MASTER = bytes(range(16))
stores = st.builds(
    KeyStore,
    *[st.binary(min_size=16, max_size=16)] * 2,
    *[st.integers(0, 2**32 - 1)] * 2,
    *[st.binary(max_size=600)] * 3,
)


def make(memory: Memory, keys: KeyStore | None = None) -> E320:
    return E320(server_id=ServerId.parse("1LGZ0063539421"), variant=Variant(), memory=memory, keys=keys)


def run(meter: E320, seconds: int) -> None:
    meter.advance(PhasePowers.constant(seconds, (1000.0, 0.0, 0.0)))


def pair(meter: E320) -> None:
    meter.keys.operational_key = bytes(16 * [7])
    meter.keys.own_certificate, meter.keys.own_key, meter.keys.gateway_certificate = b"own", b"key", b"gateway"
    meter.keys.next_counter()
    meter.save_keys()
    meter.enter_secured_operation()


@given(stores)
def test_both_ways(store: KeyStore) -> None:
    """What is saved reads back; a shortened record is refused."""
    assert KeyStore.from_bytes(store.to_bytes()) == store
    with pytest.raises(StoreDamaged):
        KeyStore.from_bytes(store.to_bytes()[:-1] if store.gateway_certificate else b"")
    assert MASTER.hex() not in repr(KeyStore.delivered(MASTER))


def test_counters_only_rise() -> None:
    """The meter never repeats its counter, refuses old ones of the gateway, and stops before an overflow."""
    store = KeyStore.delivered(MASTER)
    assert [store.next_counter() for _ in range(3)] == [1, 2, 3]
    assert [store.accept_counter(counter) for counter in (5, 5, 4, 6, COUNTER_LIMIT)] == [
        True,
        False,
        False,
        True,
        False,
    ]
    store.sent_counter = COUNTER_LIMIT - 1
    with pytest.raises(OverflowError, match="used up"):
        store.next_counter()
    with pytest.raises(ValueError, match="16 bytes"):
        KeyStore.delivered(b"short")


def test_keys_survive_and_delivery_keys_count_once(tmp_path: Path) -> None:
    """The key store outlives power cuts; the keys of delivery are taken at the first start only."""
    meter = make(NonVolatile(tmp_path), KeyStore.delivered(MASTER))
    run(meter, 40)
    pair(meter)
    meter.close()
    meter = make(NonVolatile(tmp_path), KeyStore.delivered(bytes(16)))
    assert meter.keys.initial_key == MASTER
    assert meter.keys.paired
    assert meter.secured_operation
    assert restore(snapshot(meter)).keys == meter.keys
    meter.close()


def test_crypto_reset_in_plain_text_waits() -> None:
    """Refused while a secured channel is open and for 30 s after it or after power-up; over TLS at once."""
    meter = make(RamMemory(), KeyStore.delivered(MASTER))
    run(meter, 29)
    assert not meter.crypto_reset(over_tls=False)
    run(meter, 1)
    pair(meter)
    meter.lmn.open_secured()
    run(meter, 100)
    assert not meter.crypto_reset(over_tls=False)
    meter.lmn.close_secured(meter.uptime_s)
    run(meter, 29)
    assert not meter.crypto_reset(over_tls=False)
    run(meter, 1)
    assert meter.crypto_reset(over_tls=False)
    pair(meter)
    meter.lmn.open_secured()
    assert meter.crypto_reset(over_tls=True)
    assert not meter.lmn.secured


def test_what_a_crypto_reset_does() -> None:
    """Operational key = initial key, certificates are zeros, the counter stays, stand-alone operation begins."""
    meter = make(RamMemory(), KeyStore.delivered(MASTER))
    run(meter, 2 * 86_400)
    pair(meter)
    frozen = meter.history.complete_days
    run(meter, 3 * 86_400)
    assert meter.history.complete_days == frozen == 2
    registers = meter.registers
    assert meter.crypto_reset(over_tls=False)
    assert meter.keys.operational_key == MASTER
    assert (meter.keys.own_certificate, meter.keys.gateway_certificate) == (bytes(3), bytes(7))
    assert not meter.keys.paired
    assert meter.keys.sent_counter == 1
    assert not meter.secured_operation
    assert meter.history.complete_days == 0
    assert meter.registers == registers
    run(meter, 86_400)
    assert meter.history.period(0, 1, 1) == 86_400_000_000


def test_damaged_key_store_is_reported() -> None:
    """A broken copy of the key store raises its own critical error; a lost one leaves no keys."""
    for copies, initial in (((0,), MASTER), ((0, 1), bytes(16))):
        memory = RamMemory()
        meter = make(memory, KeyStore.delivered(MASTER))
        for copy in copies:
            meter.damage_memory("keys", copy)
        meter = make(memory, KeyStore.delivered(MASTER))
        assert meter.error_register == Error.KEY_STORE
        assert meter.keys.initial_key == initial
