"""Verbs about who may do what: the policy, why something is refused, members, and the audit. Trackers answer them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec

from swarm import names
from swarm.access_messages import (
    AccessAnswer,
    AccessRequest,
    AuditAnswer,
    ExplainAnswer,
    MemberItem,
    MemberRequest,
    MembersAnswer,
    PolicyHistory,
    RuleItem,
)
from swarm.errors import AetherError, ConflictError, NotFoundError, UnreachableError, UsageError
from swarm.identity import public_of
from swarm.limits import PATTERNS_MAX
from swarm.messages import Labels, RotateAnswer, RotateRequest, TokenRequest
from swarm.peer.node import PeerNode
from swarm.peer.pull import Progress
from swarm.peer.verb import NoArguments, Result, Verb
from swarm.principal import Right
from swarm.records import Role

PEER: Final = "peer:"
PEER_ID_CHARS: Final = 52
# As few as any command prints of an id.
SHORT_ID_MIN_CHARS: Final = 8


class TokenArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role = "peer"
    uses: int = 1
    ttl_s: int = 3600
    datasets: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=PATTERNS_MAX)] = ("*",)
    site: str = ""
    labels: Labels = ()


class AccessArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allow: tuple[RuleItem, ...] = ()
    remove: tuple[RuleItem, ...] = ()
    grant_lifetime_s: int | None = None


class HistoryArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    before: int | None = None


class ExplainArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either ``denial``, or the others."""

    denial: str = ""
    who: str = "me"
    groups: tuple[str, ...] = ()
    right: Right = "read"
    ref: str = ""


class MemberArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    peer: str
    datasets: tuple[str, ...] | None = None
    labels: Labels | None = None


class RemoveArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    peer: str
    force: bool = False


class AuditArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since: int = 0
    actor: str = ""
    before: int = 0


async def token(node: PeerNode, arguments: TokenArguments, progress: Progress) -> Result:
    """A join token."""
    request = TokenRequest(
        arguments.role,
        arguments.uses,
        arguments.ttl_s,
        tuple(map(names.check_pattern, arguments.datasets)),
        arguments.site,
        arguments.labels,
    )
    answer = await node.tracker.token_create(request)
    return {"token": answer.token, "expires": answer.expires}


async def rotate(node: PeerNode, arguments: RotateRequest, progress: Progress) -> Result:
    """Let a new key of the CA, or a new secret, follow."""
    answer = await node.tracker.order("POST", "rotate", RotateAnswer, arguments)
    node.announcer.wake()
    return {"what": arguments.what, "in_force": answer.in_force, "former_retired": answer.retired}


async def access(node: PeerNode, arguments: AccessArguments, progress: Progress) -> Result:
    """Show the policy, or change it."""
    if not arguments.allow and not arguments.remove and arguments.grant_lifetime_s is None:
        return _built(await node.tracker.order("GET", "access", AccessAnswer))
    request = AccessRequest(arguments.allow, arguments.remove, arguments.grant_lifetime_s)
    return _built(await node.tracker.order("POST", "access", AccessAnswer, request))


async def access_history(node: PeerNode, arguments: HistoryArguments, progress: Progress) -> Result:
    """Earlier versions of the policy."""
    query = f"?before={arguments.before}" if arguments.before is not None else ""
    return _built(await node.tracker.order("GET", f"access/history{query}", PolicyHistory))


async def explain(node: PeerNode, arguments: ExplainArguments, progress: Progress) -> Result:
    """Why somebody may do something or not, or why something was refused."""
    if arguments.denial:
        return await _denial(node, arguments.denial)
    dataset = names.parse(arguments.ref).dataset
    asked = [("who", await _subject(node, arguments.who)), ("right", arguments.right), ("dataset", dataset)]
    query = urlencode([*asked, *(("group", group) for group in arguments.groups)])
    return _built(await node.tracker.order("GET", f"access/explain?{query}", ExplainAnswer))


async def _denial(node: PeerNode, denial: str) -> Result:
    """Only the tracker that refused knows of it: each is asked."""
    path = f"access/denials/{names.check_name(denial, 'denial')}"
    error: AetherError | None = None
    for tracker in node.tracker.calls.trackers:
        try:
            return _built(await node.tracker.order("GET", path, ExplainAnswer, only=tracker))
        except (NotFoundError, UnreachableError) as missing:
            error = error if isinstance(error, NotFoundError) else missing
    raise error or UnreachableError("no tracker is known that could be asked: see `aetherfs status`")


async def members(node: PeerNode, arguments: NoArguments, progress: Progress) -> Result:
    """Every member."""
    return {"members": msgspec.to_builtins(await _all_members(node))}


async def _all_members(node: PeerNode) -> list[MemberItem]:
    found: list[MemberItem] = []
    page = await node.tracker.order("GET", "members", MembersAnswer)
    found += page.members
    while page.next:
        page = await node.tracker.order("GET", f"members?cursor={page.next}", MembersAnswer)
        found += page.members
    return found


async def member(node: PeerNode, arguments: MemberArguments, progress: Progress) -> Result:
    """Change what a member's token is to have named."""
    peer = await _peer_of(node, arguments.peer)
    request = MemberRequest(arguments.datasets, arguments.labels)
    return _built(await node.tracker.order("POST", f"members/{peer}", MemberItem, request))


async def remove_member(node: PeerNode, arguments: RemoveArguments, progress: Progress) -> Result:
    """Refuse a member from now on. ConflictError where that locks people out, unless it is forced."""
    peer = await _peer_of(node, arguments.peer)
    if not arguments.force:
        await _check_can_be_spared(node, peer)
    await node.tracker.remove_member(peer)
    return {"removed": peer}


async def _peer_of(node: PeerNode, text: str) -> str:
    """The peer id that is written, or begun: whose among the members that is. UsageError where it may be several."""
    begun = text.removeprefix(PEER)
    if len(begun) >= PEER_ID_CHARS or not re.fullmatch(r"[a-z2-7]*", begun):
        public_of(begun)
        return begun
    if len(begun) < SHORT_ID_MIN_CHARS:
        raise UsageError(f"{begun!r} is too short for a peer id: write {SHORT_ID_MIN_CHARS} of its characters or more")
    return _only_one(begun, [one.peer for one in await _all_members(node) if one.peer.startswith(begun)])


def _only_one(begun: str, found: list[str]) -> str:
    if not found:
        raise NotFoundError(f"no member's id begins with {begun}: see `aetherfs member ls`; of one that left write all")
    if len(found) > 1:
        raise UsageError(f"{begun} may be {' or '.join(found[:3])}: write more of the id")
    return found[0]


async def _subject(node: PeerNode, text: str) -> str:
    """Somebody in a rule or in the audit, whose peer id may be begun."""
    return PEER + await _peer_of(node, text) if text.startswith(PEER) and len(text) > len(PEER) else text


async def _check_can_be_spared(node: PeerNode, peer: str) -> None:
    if peer == node.key.peer_id:
        raise ConflictError(f"{peer} is this home itself, which would be refused for good: repeat with --force")
    trackers = [one.peer for one in await _all_members(node) if one.role == "tracker"]
    if trackers == [peer]:
        raise ConflictError(
            f"{peer} is the only tracker, without which nobody joins or publishes: add another, or repeat with --force"
        )


async def audit(node: PeerNode, arguments: AuditArguments, progress: Progress) -> Result:
    """A page of what was done and refused."""
    actor = await _subject(node, arguments.actor)
    query = urlencode({"since": arguments.since, "actor": actor, "before": arguments.before})
    return _built(await node.tracker.order("GET", f"audit?{query}", AuditAnswer))


def _built(answer: msgspec.Struct) -> Result:
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found


VERBS: Final[Mapping[str, Verb]] = {
    "token": Verb(TokenArguments, token),
    "rotate": Verb(RotateRequest, rotate),
    "access": Verb(AccessArguments, access, AccessAnswer),
    "access-history": Verb(HistoryArguments, access_history, PolicyHistory),
    "explain": Verb(ExplainArguments, explain, ExplainAnswer),
    "members": Verb(NoArguments, members),
    "member": Verb(MemberArguments, member, MemberItem),
    "remove-member": Verb(RemoveArguments, remove_member),
    "audit": Verb(AuditArguments, audit, AuditAnswer),
}
