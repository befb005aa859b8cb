"""What is read over HTTP, out of the object store and out of files: answers and requests in JSON, frames, headers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Final, cast

import msgspec
from aiohttp import web

from seed import routes as seed_routes
from seed.packs import HEAD_START, Kept, Location, PackHead, column, decode_index, encode_index, make_index, read_head
from seed.routes import _decoded
from swarm import canonical, events, messages, order_messages, people_messages
from swarm.answers import parsed
from swarm.at_rest import SealKey, parse_seal_key
from swarm.authority import fingerprint_of, public_of_root
from swarm.errors import AetherError, IntegrityError, RemoteProtocolError, UsageError
from swarm.figure_performance import Foreseen
from swarm.http.problem import Problem, error_from
from swarm.http.validate import decode_body
from swarm.joining import parse_address
from swarm.names import parse
from swarm.objects.accounts import Costs, decode_costs, encode_costs
from swarm.oidc.discovery import Metadata
from swarm.oidc.fetch import _object
from swarm.peer.grants import grant_of
from swarm.peer.hub_routes import AskedPaths
from swarm.peer.operations import STREAMS, VERBS
from swarm.peer.upload import Framed, _json, unframed
from swarm.peer.wire import GRANT_HEADER
from swarm.signature import signature_of
from swarm.tracker import forecasts
from swarm.tracker.state import body_of
from tests.property.decoder import Decoder
from tests.property.samples import sample
from tests.unit.log_samples import authority

SEAL: Final = SealKey(bytes(32))
FORESEEN: Final = Foreseen(16, 0, 6.25e6, 1000, 2.0, 3.0, 4.0, ((1.0, 1), (4.0, 16)))


def json_kinds(module: ModuleType) -> dict[str, type]:
    """The structures of a module that travel as JSON."""
    found = {name: kind for name, kind in vars(module).items() if isinstance(kind, type)}
    structs = {name: kind for name, kind in found.items() if issubclass(kind, msgspec.Struct)}
    return {
        name: kind
        for name, kind in structs.items()
        if kind.__module__ == module.__name__ and not kind.__struct_config__.array_like
    }


class Asked:
    """As much of a request as is read of it."""

    def __init__(self, body: bytes, header: str = "") -> None:
        self._body = body
        self.headers = {GRANT_HEADER: header}

    async def read(self) -> bytes:
        return self._body


def read_body_as(kind: type) -> Callable[[bytes], object]:
    return lambda data: asyncio.run(body_of(cast("web.Request", Asked(data)), kind))


def read_root(data: bytes) -> object:
    """As a joiner reads what an unknown tracker shows."""
    return public_of_root(data), fingerprint_of(data)


def read_issuer(data: bytes) -> object:
    """What an issuer says of itself."""
    try:
        return msgspec.convert(_object(data, "https://issuer.example", 200), Metadata)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(str(error)) from error


def text_of(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def good_index() -> bytes:
    place = Location("0" * 32, 40, 3)
    return encode_index(make_index(7, {"0" * 32: 43}, {bytes(32): place}, [Kept("osm/roads", bytes(32), 7, bytes(32))]))


def read_index_body(body: bytes) -> object:
    return decode_index(signature_of(body) + body)


def read_head_body(body: bytes) -> object:
    return read_head("0" * 32, HEAD_START.pack(len(body), signature_of(body)) + body)


ARGUMENTS: Final = {
    **{name: verb.arguments for name, verb in VERBS.items()},
    **{name: stream.arguments for name, stream in STREAMS.items()},
}
HEAD: Final = canonical.encode(PackHead(1, bytes(32) + b"\1" * 32, column([3, 7]), column([2, 6])))
JSON: Final[dict[str, Decoder]] = {
    **{
        f"answer: {name}": Decoder(msgspec.json.encode(sample(kind)), partial(parsed, kind=kind))
        for module in (messages, order_messages, people_messages)
        for name, kind in json_kinds(module).items()
        if name.endswith(("Answer", "Info"))
    },
    **{
        f"request: {name}": Decoder(msgspec.json.encode(sample(kind)), read_body_as(kind), (UsageError,))
        for module in (messages, order_messages, people_messages)
        for name, kind in json_kinds(module).items()
        if name.endswith(("Request", "Entries"))
    },
    **{
        f"at a seed: {name}": Decoder(msgspec.json.encode(sample(kind)), partial(_decoded, kind=kind), (UsageError,))
        for name, kind in json_kinds(seed_routes).items()
        if name.endswith("Request")
    },
    **{
        f"verb: {name}": Decoder(msgspec.json.encode(sample(kind)), partial(decode_body, kind=kind), (UsageError,))
        for name, kind in ARGUMENTS.items()
    },
}
ANSWER_DECODERS: Final[dict[str, Decoder]] = {
    **JSON,
    "a seed's answer": Decoder(b'{"missing":["00"],"serial":1}', _json, (IntegrityError,)),
    "paths asked of the hub": Decoder(
        msgspec.json.encode(sample(AskedPaths)), partial(decode_body, kind=AskedPaths), (UsageError,)
    ),
    "problem": Decoder(
        msgspec.json.encode(Problem("urn:aetherfs:usage", "usage", 400, "no")),
        lambda data: error_from(400, data, "the tracker"),
        (),
    ),
    "grant's header": Decoder(
        base64.b64encode(b"grant"),
        lambda data: grant_of(cast("web.Request", Asked(b"", data.decode("utf-8", "surrogateescape")))),
        (),
    ),
    "watch's event": Decoder(base64.b64encode(b"an entry"), events._decode),
    "blocks sent": Decoder(Framed([(bytes(32), b"\0one"), (b"\1" * 32, b"\0two")]).joined(), unframed, (UsageError,)),
    "root certificate": Decoder(authority().certificate, read_root, (ValueError, TypeError)),
    "pack's head": Decoder(HEAD, read_head_body),
    "index": Decoder(good_index()[32:], read_index_body),
    "forecasts": Decoder(msgspec.json.encode({"ab" * 32: [FORESEEN]}), forecasts.decode, ()),
    "costs": Decoder(encode_costs(sample(Costs)), decode_costs, ()),
    "issuer's answer": Decoder(msgspec.json.encode(sample(Metadata)), read_issuer),
    "sealed file": Decoder(SEAL.seal(b"swarm", b"secret", bytes(24)), partial(SEAL.open, b"swarm")),
    "sealed name": Decoder(SEAL.name_of(bytes(32)).encode(), text_of(SEAL.signature_of), ()),
    "seal key": Decoder(b"0" * 64, text_of(parse_seal_key), (UsageError,)),
    "reference": Decoder(b"host:7070/scope/name:tag@" + b"0" * 64 + b"/a/b", text_of(parse), (AetherError,)),
    "address": Decoder(b"[2001:db8::1]:7070", text_of(parse_address), (UsageError,)),
}
