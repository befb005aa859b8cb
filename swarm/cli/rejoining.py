"""What ``join`` does at the home of a member: it learns where the token's trackers are, and whether it was removed.

Where all trackers have moved, a token is the only thing that leads there. It is shown to nobody, so it need not be
good for a new home any more. What runs on the home is told, and asks them at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from swarm.errors import RemoteProtocolError, UnreachableError

if TYPE_CHECKING:
    from swarm.cli.program import Program
    from swarm.home import Home
    from swarm.messages import Contact

# For a token's trackers to show who they are, and then for one to say whether this member was removed.
ASKED_S: Final = 5.0
# The same at the start of a role, which goes on without.
STARTING_S: Final = 2.0


def join_again(program: Program, text: str) -> list[str]:
    """Where trackers are that this member did not know there. NotAllowedError if it was removed."""
    known = _addresses(program.home.swarm().trackers)
    found = _looked_for(program, text)
    _check_not_removed(program.home, found)
    return sorted(_addresses(found) - known)


def follow_token(program: Program, text: str) -> None:
    """The same for a role that starts with a token: only where that names an address which is not known."""
    from swarm.token import parse_token

    if set(parse_token(text).addresses) - _addresses(program.home.swarm().trackers):
        _looked_for(program, text, STARTING_S)


def _looked_for(program: Program, text: str, timeout_s: float = ASKED_S) -> Sequence[Contact]:
    """The trackers that are there, remembered."""
    from swarm.cli.perform import run_interruptible
    from swarm.joining import look_at
    from swarm.token import parse_token

    found, failures = run_interruptible(look_at(parse_token(text), timeout_s=timeout_s))
    if found:
        _keep(program, program.home, found)
    else:
        program.output.note(f"the token leads to no tracker now: {failures[0]}")
    return found


def _keep(program: Program, home: Home, found: Sequence[Contact]) -> None:
    """Remember trackers before those that were known: by what runs here, else in the home."""
    from swarm.cli.perform import perform
    from swarm.messages import with_trackers

    if program.agent() is not None:
        perform(program, "meet-trackers", {"trackers": msgspec.to_builtins(found)})
        return
    home.open()
    try:
        state = home.swarm()
        trackers = with_trackers(state.trackers, found)
        if trackers != state.trackers:
            home.remember(msgspec.structs.replace(state, trackers=trackers))
    finally:
        home.close()


def _addresses(trackers: Sequence[Contact]) -> set[str]:
    return {str(address) for contact in trackers for address in contact.addresses}


def _check_not_removed(home: Home, found: Sequence[Contact]) -> None:
    """NotAllowedError if a tracker says that this member is none any more: its key comes back by no token.

    What no tracker answers in time is not known.
    """
    import asyncio

    from swarm.cli.perform import run_interruptible
    from swarm.client import TrackerClient

    async def ask() -> None:
        papers, trackers, trust = home.papers(), found or home.swarm().trackers, home.trust()
        client = TrackerClient(trackers, key=home.key(), root=papers.root, files=home.tls_files, trust=trust)
        async with client, asyncio.timeout(ASKED_S):
            await client.renew(papers.credential, papers.grant)

    with contextlib.suppress(UnreachableError, RemoteProtocolError, TimeoutError):
        run_interruptible(ask())
