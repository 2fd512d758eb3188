"""Evidence in SML: tuples, signed profile rows and signed lists, in frames or bare.

The check sums of SML protect against line errors, not against people. Where one is wrong the
content is read all the same and the signature decides; that it was wrong is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .. import sml
from ..errors import ChecksumMismatch, DecodeError, InvalidIdentifier, NotSml, SmlError, SourceError
from ..sml.recognise import recognise
from ..sml.transport import LARGEST_MAX_FRAME
from .exhibit import Contents, OfferedKey
from .keys import decode_text, key_of_point
from .meter_values import exhibits_of_list
from .profile_rows import exhibits_of_pack, exhibits_of_row
from .signed_tuples import exhibit_of_tuple

KIND: Final = "SML"
PUBLIC_KEY: Final = bytes.fromhex("8181c78205ff")
MAX_MENDED: Final = 16
"""Wrong check sums in one SML file that are looked behind. [messages]"""
MAX_MENDED_BYTES: Final = 64 << 10
"""Largest SML file with wrong check sums that is read all the same; signed values have 600 bytes."""
MAX_DAMAGED: Final = 10_000
"""Parts of a file that are unreadable or have wrong check sums, after which it is given up."""
PORTION: Final = 64 << 10
_START: Final = bytes.fromhex("1b1b1b1b01010101")


def read_binary(data: bytes) -> Contents:
    """Everything signed in SML as it is on the wire, with or without transport frames.

    Raises NotSml where there is neither.
    """
    contents = Contents(KIND)
    if _START not in data:
        _read_bare(data, contents)
        return contents
    decoder = sml.FrameDecoder(max_frame=LARGEST_MAX_FRAME)
    rejected_bytes = 0
    for event, following in _with_following(_events(decoder, data)):
        rejected_bytes += event.size if isinstance(event, sml.Rejected) else 0
        if len(contents.damaged) + len(contents.remarks) > MAX_DAMAGED:
            raise SourceError(f"more than {MAX_DAMAGED} parts of the file cannot be read: this is no evidence")
        place = f"frame at byte {event.offset}"
        if isinstance(event, sml.Frame):
            read_payload(event.payload, place, contents)
            continue
        holds_another = following is not None and following.offset < event.offset + event.size
        if isinstance(event.reason, ChecksumMismatch) and not holds_another:
            remark = f"{place}: its check sum (CRC) is wrong, so it was damaged or changed after it was sent"
            payload = _unframe(data[event.offset : event.offset + event.size])
            read_payload(payload, place, contents, remarks=(remark,))
        else:
            contents.damaged.append(f"{place}: {event.reason}")
    noise = decoder.bytes_skipped - rejected_bytes
    if noise > 0:
        contents.remarks.append(f"{noise} bytes outside of frames were left out")
    return contents


def _events(decoder: sml.FrameDecoder, data: bytes) -> Iterator[sml.Frame | sml.Rejected]:
    """What the decoder finds, portion by portion: a file of nothing but beginnings must not fill memory."""
    for start in range(0, len(data), PORTION):
        yield from decoder.receive(data[start : start + PORTION])
    yield from decoder.close()


def _with_following(
    events: Iterator[sml.Frame | sml.Rejected],
) -> Iterator[tuple[sml.Frame | sml.Rejected, sml.Frame | sml.Rejected | None]]:
    """Each event with the next one, the last with None."""
    event = next(events, None)
    while event is not None:
        following = next(events, None)
        yield event, following
        event = following


def read_hex(data: bytes) -> Contents:
    """Everything signed in SML written in hex digits. Raises SourceError."""
    try:
        return read_binary(decode_text(data.decode("ascii", "replace"), "hex"))
    except InvalidIdentifier as error:
        raise SourceError(f"begins like SML in hex digits, but is {error}") from error


def read_files(files: Iterable[Sequence[sml.Message]], contents: Contents) -> None:
    """Everything signed in decoded SML files, as XML and JSON give them."""
    for number, messages in enumerate(files, 1):
        read_messages(messages, f"file {number}", contents)


def read_payload(payload: bytes, place: str, contents: Contents, remarks: tuple[str, ...] = ()) -> None:
    """Everything signed in one SML file without its frame. Never raises."""
    mended = 0
    while True:
        try:
            file = sml.decode(payload)
            dropped: tuple[SmlError, ...] = file.dropped
            messages = file.messages
        except SmlError as error:
            dropped, messages = (error,), ()
        wrong = next((error for error in dropped if isinstance(error, ChecksumMismatch)), None)
        repaired = _with_right_checksum(payload, wrong) if wrong is not None and mended < MAX_MENDED else None
        if repaired is None or wrong is None:
            break
        mended += 1
        payload = repaired
        remarks += (
            f"{place}: the check sum of the message at byte {wrong.offset} is wrong, so it was damaged or changed",
        )
    contents.damaged += [f"{place}: {error}" for error in dropped]
    read_messages(messages, place, contents, remarks)


def read_messages(
    messages: Iterable[sml.Message], place: str, contents: Contents, remarks: tuple[str, ...] = ()
) -> None:
    """Everything signed in the messages of one file. Never raises for what they hold."""
    contents.remarks += remarks
    for number, message in enumerate(messages, 1):
        where = f"{place}, message {number}"
        try:
            _read_body(message.body, where, contents)
        except DecodeError as error:
            contents.damaged.append(f"{where}: {error}")


def _read_body(body: sml.Body, place: str, contents: Contents) -> None:
    match body:
        case sml.GetProcParameterResponse():
            for node in _walk(body.parameter_tree):
                _read_node(node, body.server_id, place, contents)
        case sml.GetProfilePackResponse():
            exhibits_of_pack(body, place, contents)
        case sml.GetProfileListResponse():
            exhibits_of_row(body, place, contents)
        case sml.GetListResponse():
            exhibits = exhibits_of_list(body, place)
            contents.exhibits += exhibits
            contents.unsigned += not exhibits
            for entry in body.val_list:
                if entry.obj_name == PUBLIC_KEY and isinstance(entry.value, bytes):
                    offer_key(entry.value, body.server_id, place, contents)


def _walk(tree: sml.Tree) -> Iterator[sml.Tree]:
    yield tree
    for child in tree.child_list or ():
        yield from _walk(child)


def _read_node(node: sml.Tree, server_id: bytes, place: str, contents: Contents) -> None:
    match node.parameter_value:
        case sml.TupelParameter(value=entry):
            contents.exhibits.append(exhibit_of_tuple(entry, node.parameter_name, place))
        case sml.ValueParameter(value=bytes() as octets) if node.parameter_name == PUBLIC_KEY:
            offer_key(octets, server_id, place, contents)


def offer_key(octets: bytes, server_id: bytes, place: str, contents: Contents) -> None:
    """Take down the key a device states of itself."""
    try:
        offered = OfferedKey(f"the device itself says so ({place})", key_of_point(octets))
    except InvalidIdentifier as error:
        offered = OfferedKey(place, None, str(error))
    known = contents.keys_by_server.setdefault(server_id, [])
    if all(other.key != offered.key for other in known):
        known.append(offered)


# --- broken check sums and bare files ------------------------------------------------------


def _read_bare(data: bytes, contents: Contents) -> None:
    try:
        sml.decode(data)
    except ChecksumMismatch:
        pass
    except SmlError as error:
        protocol, remedy = recognise(data) or ("unknown", str(error))
        raise NotSml(f"neither evidence nor SML ({protocol}): {remedy}", protocol=protocol) from error
    read_payload(data, "file", contents)


def _unframe(raw: bytes) -> bytes:
    """The payload of a whole frame, whatever its check sum says."""
    return raw[8 : max(8, len(raw) - 8 - raw[-3])].replace(b"\x1b" * 8, b"\x1b" * 4)


def _with_right_checksum(payload: bytes, wrong: ChecksumMismatch) -> bytes | None:
    """`payload` with the check sum of one message put right; None where it cannot be found."""
    if len(payload) > MAX_MENDED_BYTES:
        return None
    position = 0
    for element in sml.outline(payload):
        if element.depth == 0 and element.offset > wrong.offset:
            break
        if element.depth == 1 and element.offset > wrong.offset:
            position += 1
            if position == 5 and element.type == "unsigned" and len(element.wire) == 3:
                at = element.offset + 1
                return payload[:at] + wrong.expected.to_bytes(2, "little") + payload[at + 2 :]
    return None
