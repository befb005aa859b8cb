"""The verb that lists and changes users, services and issuers; the tracker decides who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from swarm.errors import UsageError
from swarm.people_messages import (
    Issuing,
    ServiceRequest,
    SignOutRequest,
    UserRequest,
    check_user_name,
)

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

What = Literal["user", "service", "issuer", "signout"]
Action = Literal["ls", "put", "rm"]
_PLACES: Final[dict[What, str]] = {"user": "users", "service": "services", "issuer": "issuers", "signout": "signouts"}
_KINDS: Final[dict[What, type[msgspec.Struct]]] = {
    "user": UserRequest,
    "service": ServiceRequest,
    "issuer": Issuing,
    "signout": SignOutRequest,
}


class PeopleArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``body`` is what the tracker's route takes (``swarm.people_messages``)."""

    what: What
    action: Action
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    body: dict[str, Any] = {}


async def change_people(
    node: PeerNode, arguments: PeopleArguments, progress: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """List or change users, services and issuers."""
    path = _PLACES[arguments.what]
    if arguments.name:
        path = f"{path}/{check_user_name(arguments.name, arguments.what)}"
    method = {"ls": "GET", "put": "POST", "rm": "DELETE"}[arguments.action]
    request = None
    if arguments.action == "put":
        try:
            request = msgspec.convert(arguments.body, _KINDS[arguments.what])
        except msgspec.ValidationError as error:
            raise UsageError(f"{arguments.what}: {error}") from error
    return await node.tracker.order(method, path, dict[str, Any], request)
