"""What the E320 answers on the wired network: its objects, who may read and write them, and when.

Served from the same registers as display and INFO interface. Before pairing everything but the
keys is open in plain text; afterwards only TLS reads and writes, and plain text is left with the
crypto reset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from .. import sml
from ..errors import LmnError
from ..lmn import objects
from ..lmn.certificates import Identity, curve_of, split
from ..lmn.objects import EnergyValue, ObjectName, leaf, node
from ..metrology import wh_tenths
from ..signing import Curve, PrivateKey
from ..sml.session import Refusal, Request
from ..units import VAR_HOUR, WATT, WATT_HOUR
from .info import REGISTER_CODES, info_messages, register_names
from .keys import KEY_SIZE, KeyStore
from .meter import E320

Reader = Callable[[], sml.Tree]
Writer = Callable[[object], None]


class LmnApplication:
    """One conversation with one meter, in plain text or over TLS."""

    def __init__(self, meter: E320, *, over_tls: bool) -> None:
        self._meter = meter
        self._over_tls = over_tls
        self.reset = False
        """A crypto reset was executed: the session's certificates are gone, so it must end."""
        self._readers: Final = self._readable()
        self._writers: Final = self._writable()

    @property
    def server_id(self) -> bytes:
        return self._meter.server_id

    def open(self, request: sml.PublicOpenRequest) -> sml.PublicOpenResponse:
        """Echo who asks; refuse another meter's name."""
        self._for_us(request.server_id)
        return sml.PublicOpenResponse(
            client_id=request.client_id, req_file_id=request.req_file_id, server_id=self.server_id,
            ref_time=sml.SecIndex(self._meter.seconds_index),
        )  # fmt: skip

    def handle(self, request: Request) -> Sequence[sml.Body]:
        """Execute one request; a set is always answered by an attention that names its object."""
        self._for_us(request.server_id)
        match request:
            case sml.GetProcParameterRequest():
                return [self._get(request)]
            case sml.SetProcParameterRequest():
                try:
                    self._set(request)
                except Refusal as refusal:
                    return [self._attention(request, refusal.attention, refusal.detail)]
                return [self._attention(request, sml.Attention.ACKNOWLEDGED)]
            case sml.GetListRequest() if self._over_tls:
                listed = info_messages(replace(self._meter.info_push(), extended=True))[1].body
                assert isinstance(listed, sml.GetListResponse)
                return [replace(listed, client_id=request.client_id)]
        raise Refusal(sml.Attention.NOT_EXECUTED, "this meter answers parameters only")

    def _for_us(self, server_id: bytes | None) -> None:
        if server_id is not None and server_id != self.server_id:
            raise Refusal(sml.Attention.UNKNOWN_SERVER)

    def _attention(
        self, request: sml.SetProcParameterRequest, number: sml.Attention, detail: str = ""
    ) -> sml.AttentionResponse:
        return sml.AttentionResponse(
            server_id=self.server_id, attention_no=number.number, attention_msg=detail.encode() or None,
            attention_details=sml.Tree(parameter_name=request.parameter_tree.parameter_name),
        )  # fmt: skip

    # --- reading ---------------------------------------------------------------------------

    def _get(self, request: sml.GetProcParameterRequest) -> sml.GetProcParameterResponse:
        self._readable_now()
        path = request.parameter_tree_path
        name = self._known(path[0] if path else b"")
        if name not in self._readers:
            raise Refusal(sml.Attention.NOT_READABLE, "this object can only be written")
        tree = self._readers[name]()
        for attribute in path[1:2]:
            child = next((child for child in tree.child_list or () if child.parameter_name == attribute), None)
            if child is None:
                raise Refusal(sml.Attention.NOT_EXECUTED, "this object has no such attribute")
            tree = replace(tree, child_list=(child,))
        return sml.GetProcParameterResponse(server_id=self.server_id, parameter_tree_path=path, parameter_tree=tree)

    def _readable_now(self) -> None:
        if not self._over_tls and self._meter.keys.paired:
            raise Refusal(sml.Attention.NOT_EXECUTED, "this meter is paired: it is read over TLS only")

    def _known(self, octets: bytes) -> ObjectName:
        name = ObjectName.of(octets)
        if len(octets) == 6:  # the bare OBIS code, as some gateways write it
            name = next((one for one in (*self._readers, *self._writers) if bytes(one.code) == octets), None)
        if name is None or (name not in self._readers and name not in self._writers):
            raise Refusal(sml.Attention.NOT_EXECUTED, "this meter has no such object")
        return name

    def _readable(self) -> dict[ObjectName, Reader]:
        meter = self._meter
        parameters = meter.parameters
        readers: dict[ObjectName, Reader] = {
            objects.energy(REGISTER_CODES[field]): self._energy_reader(field)
            for field in register_names(meter.variant.mode)
        }

        def data(name: ObjectName, value: Callable[[], bool | bytes | sml.Unsigned]) -> None:
            readers[name] = lambda: node(name, leaf(objects.VALUE, sml.ValueParameter(value())))

        if parameters.active_power_shown:
            readers[objects.POWER] = lambda: self._power(objects.POWER, meter.power_w)
            readers[objects.POWER_PLUS] = lambda: self._power(objects.POWER_PLUS, max(0, meter.power_w))
        data(objects.STATUS_WORD, lambda: sml.Unsigned32(meter.status_word))
        data(objects.SERVER_ID, lambda: bytes(meter.server_id))
        data(objects.MANUFACTURER, lambda: bytes(meter.server_id[2:5]))
        data(objects.FIRMWARE_VERSION, parameters.firmware_version.encode)
        data(objects.FIRMWARE_CHECKSUM, parameters.firmware_checksum.encode)
        data(objects.INDEX, lambda: sml.Unsigned32(meter.seconds_index))
        data(objects.INFO_EXTENDED, lambda: meter.settings.extended)
        data(objects.PIN_PROTECTION, lambda: meter.settings.pin_on)
        data(objects.SETTINGS_KEPT, lambda: parameters.keep_settings)
        data(objects.ERROR_REGISTER, lambda: sml.Unsigned32(meter.error_register))
        data(objects.METER_CERTIFICATE, lambda: meter.keys.own_certificate)
        key = self._signing_key()
        if key is not None:
            data(objects.PUBLIC_KEY, lambda: key.public.point)
        return readers

    def _energy_reader(self, field: str) -> Reader:
        meter = self._meter

        def read() -> sml.Tree:
            value = EnergyValue(
                objects.energy(REGISTER_CODES[field]),
                raw=wh_tenths(getattr(meter.registers, field)),
                scaler=objects.REGISTER_SCALER,
                unit=WATT_HOUR if field.endswith("mws") else VAR_HOUR,
                status=meter.status_word,
                seconds_index=meter.seconds_index,
            )
            key = self._signing_key()
            return (value if key is None else value.signed(key, self.server_id)).tree()

        return read

    @staticmethod
    def _power(name: ObjectName, power_w: int) -> sml.Tree:
        unit = sml.CosemValue(sml.ScalerUnit(scaler=0, unit=WATT))
        value = leaf(objects.VALUE, sml.ValueParameter(sml.Integer64(power_w)))
        return node(name, value, leaf(objects.SCALER_UNIT, sml.ValueParameter(unit)))

    def _signing_key(self) -> PrivateKey | None:
        """The key whose public half is on the plate; None without a device ID to print."""
        identity = self._meter.server_id.device_id
        return None if identity is None else _key_of(self._meter.parameters.curve, identity.compact)

    # --- writing ---------------------------------------------------------------------------

    def _set(self, request: sml.SetProcParameterRequest) -> None:
        name = self._known(request.parameter_tree.parameter_name)
        if request.parameter_tree_path[:1] not in ((request.parameter_tree.parameter_name,), ()):
            raise Refusal(sml.Attention.NOT_EXECUTED, "path and tree name different objects")
        if name not in self._writers:
            raise Refusal(sml.Attention.NOT_WRITABLE)
        if name != objects.CRYPTO_RESET:
            self._readable_now()
        try:
            self._writers[name](objects.assigned(request.parameter_tree))
        except OSError as error:
            raise Refusal(sml.Attention.NOT_EXECUTED, "memory refuses to be written") from error

    def _writable(self) -> dict[ObjectName, Writer]:
        return {
            objects.CRYPTO_RESET: self._crypto_reset,
            objects.OPERATIONAL_KEY: self._new_key,
            objects.METER_CERTIFICATE: self._new_certificate,
            objects.GATEWAY_CERTIFICATE: self._new_gateway_certificate,
            objects.ERROR_REGISTER: self._clear_errors,
            objects.INFO_EXTENDED: self._switch_info,
            objects.PIN_PROTECTION: self._switch_pin,
        }

    def _secret(self) -> None:
        if not self._over_tls:
            raise Refusal(sml.Attention.NOT_EXECUTED, "only over TLS")

    def _crypto_reset(self, value: object) -> None:
        if _boolean(value) is not True:
            raise Refusal(sml.Attention.OUT_OF_RANGE, "only TRUE resets")
        # Done before it is answered: what was acknowledged must survive a power cut. The answer
        # still leaves through the running session, whose keys live in no memory.
        if not self._meter.crypto_reset(over_tls=self._over_tls):
            raise Refusal(sml.Attention.NOT_EXECUTED, "a secured channel is open, or was within 30 s")
        self.reset = self._over_tls

    def _new_key(self, value: object) -> None:
        self._secret()
        if not isinstance(value, bytes) or len(value) != KEY_SIZE:
            raise Refusal(sml.Attention.OUT_OF_RANGE, f"a key has {KEY_SIZE} bytes")
        change_keys(self._meter, operational_key=value)

    def _new_certificate(self, value: object) -> None:
        self._secret()
        if not isinstance(value, bytes) or not take_own(self._meter, value, same_curve=True):
            raise Refusal(sml.Attention.OUT_OF_RANGE, "no certificate this meter can use")

    def _new_gateway_certificate(self, value: object) -> None:
        self._secret()
        if not isinstance(value, bytes) or not take_gateway(self._meter, value):
            raise Refusal(sml.Attention.OUT_OF_RANGE, "no certificate this meter can use")

    def _clear_errors(self, value: object) -> None:
        self._secret()
        if not isinstance(value, int) or isinstance(value, bool) or value != 0:
            raise Refusal(sml.Attention.OUT_OF_RANGE, "only 0 clears the error register")
        self._meter.reset_errors()

    def _switch_info(self, value: object) -> None:
        self._meter.change_settings(replace(self._meter.settings, extended=_boolean(value)))

    def _switch_pin(self, value: object) -> None:
        self._meter.change_settings(replace(self._meter.settings, pin_on=_boolean(value)))


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refusal(sml.Attention.TYPE_NOT_SUPPORTED, "a boolean is needed")
    return value


@cache
def _key_of(curve: Curve, device_id: str) -> PrivateKey:
    return PrivateKey.from_seed(curve, device_id.encode())


# --- keys that change ----------------------------------------------------------------------


def change_keys(meter: E320, **changes: bytes | int) -> None:
    """Replace parts of the key store, durably or not at all. Raises OSError when memory refuses."""
    before = meter.keys
    after = replace(before, **changes)  # type: ignore[arg-type]
    meter.keys = after
    try:
        meter.save_keys()
    except (OSError, ValueError):
        meter.keys = before
        raise


def take_own(meter: E320, content: bytes, *, same_curve: bool = False) -> bool:
    """Take over a certificate, or certificate and key; False where they cannot be used."""
    keys = meter.keys
    try:
        certificate, key = split(content)
        identity = Identity(certificate, key or keys.own_key)
        if same_curve and identity.curve is not curve_of(keys.gateway_certificate):
            return False
    except LmnError:
        return False
    change_keys(meter, own_certificate=identity.certificate, own_key=identity.key)
    return True


def take_gateway(meter: E320, certificate: bytes) -> bool:
    """Take over the gateway's certificate; False where it fits no session with ours."""
    try:
        alone, rest = split(certificate)
        if rest or curve_of(alone) is not curve_of(meter.keys.own_certificate):
            return False
    except LmnError:
        return False
    change_keys(meter, gateway_certificate=alone)
    return True


class MeterSecrets:
    """The meter's key store as the key exchange uses it; every change is saved before it counts."""

    def __init__(self, meter: E320) -> None:
        self._meter = meter

    @property
    def master(self) -> bytes:
        return self._meter.keys.operational_key

    def next_counter(self) -> int:
        keys = self._meter.keys
        trial = KeyStore(sent_counter=max(keys.sent_counter, keys.received_counter))
        change_keys(self._meter, sent_counter=trial.next_counter())
        return self._meter.keys.sent_counter

    def accept_counter(self, counter: int) -> bool:
        trial = replace(self._meter.keys)
        if not trial.accept_counter(counter):
            return False
        change_keys(self._meter, received_counter=counter)
        return True

    def take_meter_certificate(self, content: bytes) -> bool:
        return take_own(self._meter, content)

    def take_gateway_certificate(self, certificate: bytes) -> bool:
        return take_gateway(self._meter, certificate)

    def complete(self) -> bool:
        return self._meter.keys.paired
