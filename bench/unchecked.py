"""The program with its checks taken out, to measure what they cost: ``python -m bench.unchecked [--no-hashes] ...``.

Taken out are the checks of grants and of versions' places in their datasets, the watch over connections, ambiguous
requests and addresses; with ``--no-hashes`` also the verifying of blocks that are received. For the bench only: nothing
that the program itself can be told switches a check off.
"""

from __future__ import annotations

import sys
from asyncio import Protocol
from collections.abc import Callable
from typing import Any, NoReturn

from aiohttp import web

from swarm import encoding
from swarm.dialable import Dialable
from swarm.errors import RemoteProtocolError
from swarm.http import serve
from swarm.http.problem import Handler
from swarm.http.visits import Visit, Visits
from swarm.limits import RECORD_MAX_BYTES
from swarm.peer import access
from swarm.records import Grant, Signed


def take_out_checks() -> None:
    """Everything but the hashes."""
    from swarm import canonical

    def caller(self: access.Access, peer_id: str, sealed_grant: bytes, wall_now: float) -> access.Caller:
        known = self._grants.get(sealed_grant)
        if known is None:
            try:
                signed = canonical.decode(sealed_grant, Signed, limit_bytes=2 * RECORD_MAX_BYTES)
                known = (canonical.decode(signed.body, Grant, limit_bytes=RECORD_MAX_BYTES), b"")
            except RemoteProtocolError:
                return access.Caller(peer_id, None)
            self._grants.put(sealed_grant, known)
        return access.Caller(peer_id, known[0])

    replace(access.Access, "caller", caller)
    replace(access.Access, "shows", lambda self, dataset, version, entry: True)
    replace(access.Caller, "may_read", lambda self, dataset: True)
    replace(Dialable, "why_not", lambda self, address: "")
    replace(Visit, "serve_with", bare)
    replace(Visits, "middleware", pass_on)
    replace(serve, "unambiguous", web.middleware(lambda request, handler: handler(request)))


def bare(visit: Visit, inner: Protocol) -> Protocol:
    """The connection without its watch."""
    return inner


@web.middleware
async def pass_on(visits: Visits, request: web.Request, handler: Handler) -> web.StreamResponse:
    """A request without its notes."""
    return await handler(request)


def take_out_hashes() -> None:
    """Blocks count as what they are said to be."""
    replace(encoding, "open_block", lambda encoded, signature, size=None: encoding.decode_block(encoded, size))


def replace(owner: object, name: str, by: Callable[..., Any]) -> None:
    """Put something else in a check's place, which must be there."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner} has no {name}: this bench is older than the program")
    setattr(owner, name, by)


def main() -> NoReturn:
    take_out_checks()
    if "--no-hashes" in sys.argv:
        sys.argv.remove("--no-hashes")
        take_out_hashes()
    from swarm.cli.main import run

    run()


if __name__ == "__main__":
    main()
