"""libsml (Debian package libsml1) through ctypes: what it reads from a descriptor, entry by entry."""

from __future__ import annotations

import ctypes as c
import ctypes.util

NAME = ctypes.util.find_library("sml")


class OctetString(c.Structure):
    _fields_ = (("str", c.POINTER(c.c_ubyte)), ("len", c.c_int))


class ListEntry(c.Structure):
    pass


ListEntry._fields_ = (
    ("obj_name", c.POINTER(OctetString)),
    ("status", c.c_void_p),
    ("val_time", c.c_void_p),
    ("unit", c.POINTER(c.c_uint8)),
    ("scaler", c.POINTER(c.c_int8)),
    ("value", c.c_void_p),
    ("value_signature", c.POINTER(OctetString)),
    ("next", c.POINTER(ListEntry)),
)


class GetListResponse(c.Structure):
    _fields_ = (
        ("client_id", c.POINTER(OctetString)),
        ("server_id", c.POINTER(OctetString)),
        ("list_name", c.POINTER(OctetString)),
        ("act_sensor_time", c.c_void_p),
        ("val_list", c.POINTER(ListEntry)),
    )


class Body(c.Structure):
    _fields_ = (("tag", c.POINTER(c.c_uint32)), ("data", c.c_void_p))


class Message(c.Structure):
    _fields_ = (
        ("transaction_id", c.POINTER(OctetString)),
        ("group_id", c.POINTER(c.c_uint8)),
        ("abort_on_error", c.POINTER(c.c_uint8)),
        ("body", c.POINTER(Body)),
        ("crc", c.POINTER(c.c_uint16)),
    )


class File(c.Structure):
    _fields_ = (("messages", c.POINTER(c.POINTER(Message))), ("messages_len", c.c_short))


def read_telegram(descriptor: int) -> dict[str, float]:
    """Wait for one transport frame, parse it with libsml: scaled number by OBIS hex."""
    library = c.CDLL(NAME)
    library.sml_file_parse.restype = c.POINTER(File)
    library.sml_value_to_double.restype = c.c_double
    library.sml_value_to_double.argtypes = (c.c_void_p,)
    library.sml_file_free.argtypes = (c.POINTER(File),)
    buffer = c.create_string_buffer(4096)
    size = library.sml_transport_read(descriptor, buffer, len(buffer))
    assert size > 16, "libsml found no telegram"
    file = library.sml_file_parse(buffer.raw[8:size], size - 16)
    values: dict[str, float] = {}
    for place in range(file.contents.messages_len):
        body = file.contents.messages[place].contents.body.contents
        if body.tag.contents.value != 0x0701:
            continue
        entry = c.cast(body.data, c.POINTER(GetListResponse)).contents.val_list
        while entry:
            name = entry.contents.obj_name.contents
            if entry.contents.unit:
                scaler = entry.contents.scaler.contents.value if entry.contents.scaler else 0
                values[bytes(name.str[: name.len]).hex()] = (
                    library.sml_value_to_double(entry.contents.value) * 10.0**scaler
                )
            entry = entry.contents.next
    library.sml_file_free(file)
    return values
