"""A rack on a table: a bus, base modules, a communication module, and a station that asks them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from messwerk import sml
from messwerk.e750 import BaseModule, Bus, CommunicationModule
from messwerk.identity import ServerId
from messwerk.metrology import PhasePowers
from messwerk.signing import Curve, PrivateKey
from messwerk.sml.session import ResponseFile, SmlClient

CM_ID = ServerId.parse("00:15:11:00:00:01")
CENTRAL = bytes.fromhex("05020000000001")


def bm_id(number: int) -> ServerId:
    return ServerId.from_mac(bytes.fromhex("00151122") + number.to_bytes(2, "big"))


def key_of(number: int, curve: Curve = Curve.P256) -> PrivateKey:
    return PrivateKey.from_seed(curve, b"base module %d" % number)


def powers(n: int, seed: int = 1) -> PhasePowers:
    """n seconds in all four quadrants."""
    rng = np.random.default_rng(seed)
    return PhasePowers(rng.normal(100, 900, (n, 3)), rng.normal(0, 400, (n, 3)), rng.normal(230, 3, (n, 3)))


class Rack:
    """Modules plugged together; closes them in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bus = folder, Bus()
        self.open: list[BaseModule | CommunicationModule] = []

    def communication_module(self, **options: Any) -> CommunicationModule:
        options = {"credentials": {"operator": "secret"}} | options
        module = CommunicationModule(CM_ID, self.bus, self.folder / "cm", **options)
        self.open.append(module)
        return module

    def base_module(self, number: int = 1, **options: Any) -> BaseModule:
        folder = self.folder / f"bm{number}"
        key = options.pop("key", key_of(number))
        module = BaseModule(bm_id(number), key, folder, options.pop("bus", self.bus), **options)
        self.open.append(module)
        return module

    def pull_out(self, module: BaseModule | CommunicationModule) -> None:
        module.close()
        self.open.remove(module)

    def close(self) -> None:
        for module in reversed(self.open):
            module.close()


class Central:
    """A station's pull client, on one connection to a communication module."""

    def __init__(self, receive: Callable[[bytes], bytes]) -> None:
        self._receive = receive
        self._client = SmlClient(CENTRAL)
        self.username: str | None = "operator"
        self.password: bytes | None = b"secret"

    def ask(self, server_id: bytes | None, *requests: Any) -> ResponseFile:
        wire = self._client.request(server_id, requests, username=self.username, password=self.password)
        (answer,) = self._client.receive(self._receive(wire))
        return answer

    def get(self, server_id: bytes | None, *path: bytes) -> sml.Tree:
        (body,) = self.ask(server_id, sml.GetProcParameterRequest(parameter_tree_path=path)).answer()
        assert isinstance(body, sml.GetProcParameterResponse), body
        return body.parameter_tree

    def set(self, server_id: bytes | None, path: tuple[bytes, ...], value: Any) -> sml.AttentionResponse:
        tree = sml.Tree(parameter_name=path[-1], parameter_value=sml.ValueParameter(value))
        request = sml.SetProcParameterRequest(parameter_tree_path=path, parameter_tree=tree)
        (body,) = self.ask(server_id, request).answer()
        assert isinstance(body, sml.AttentionResponse)
        return body


def central(module: CommunicationModule) -> Central:
    return Central(module.session().receive)


def leaves(tree: sml.Tree) -> dict[bytes, Any]:
    """Name to value of every node of a tree that has one."""
    found = {}
    if tree.parameter_value is not None:
        found[tree.parameter_name] = tree.parameter_value.value
    for child in tree.child_list or ():
        found |= leaves(child)
    return found


def acknowledgement(push_file: bytes) -> bytes:
    """What a central station answers to a push file once everything in it is durable."""
    (frame,) = sml.FrameDecoder(max_frame=1 << 20).receive(push_file)
    assert isinstance(frame, sml.Frame)
    opening = sml.decode(frame.payload, strict=True).messages[0].body
    assert isinstance(opening, sml.PublicOpenResponse)
    bodies: tuple[sml.Body, ...] = (
        sml.PublicOpenResponse(req_file_id=opening.req_file_id, server_id=CENTRAL),
        sml.AttentionResponse(
            server_id=CENTRAL, attention_no=sml.Attention.ACKNOWLEDGED.number, attention_msg=opening.req_file_id
        ),
        sml.PublicCloseResponse(),
    )
    return sml.frame(sml.encode(sml.Message(transaction_id=b"%d" % n, body=body) for n, body in enumerate(bodies)))
