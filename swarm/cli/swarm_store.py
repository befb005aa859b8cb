"""The object store as commands open it: one that holds a swarm. A role alone makes a store, and remembers where it is.

Nobody is answered from an empty place: "nothing to remove" of a store that was mistyped would be taken for the truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from swarm.config import STORE_FILE
from swarm.errors import NotFoundError

if TYPE_CHECKING:
    from swarm.cli.program import Program
    from swarm.objects import ObjectStore

ADVICE: Final = "name its store with --store"


class NoSwarmError(NotFoundError):
    """There is no swarm where the store should be."""


@contextmanager
def swarm_store(program: Program) -> Iterator[ObjectStore]:
    """The store of the settings, closed afterwards. NoSwarmError where there is no swarm."""
    objects = open_swarm(program.settings.store)
    try:
        yield objects
    finally:
        objects.close()


def open_swarm(url: str, advice: str = ADVICE) -> ObjectStore:
    """A store that holds a swarm. NoSwarmError for any other place, in which nothing is made."""
    from swarm.objects.open import open_holding
    from swarm.tracker.keys import CA_KEY

    try:
        return open_holding(url, CA_KEY)
    except NotFoundError as error:
        raise NoSwarmError(f"{url} holds no swarm: {advice}") from error


def remember_store(program: Program) -> None:
    """Let commands on this home use the store that its role runs over. An address holds no secrets.

    The home's own is not written down, so that a home may be moved.
    """
    settings = program.settings
    if settings.store == settings.own_store:
        program.home.remove_state(STORE_FILE)
    else:
        program.home.write_state(STORE_FILE, settings.store.encode() + b"\n")
