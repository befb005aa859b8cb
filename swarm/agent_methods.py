"""The calls that the Python faces offer: for each a function that says which verb it is, and the type of its result.

Paths are made absolute here, since the agent works elsewhere; ``progress`` is called with each report.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from swarm.agent_messages import (
    Committed,
    DatasetList,
    FileList,
    History,
    Inspected,
    KeepRule,
    Published,
    Pulled,
    Stopping,
    SubscriptionList,
    Verified,
)
from swarm.errors import RemoteProtocolError
from swarm.publish_budget import Budget
from swarm.subscription import Subscription

R = TypeVar("R")
Progress = Callable[[dict[str, Any]], None]
Path = str | os.PathLike[str]


def untold(_report: dict[str, Any]) -> None:
    """For who shows no progress."""


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """A verb with its arguments. ``kind`` is the type of its result."""

    verb: str
    arguments: Mapping[str, Any]
    kind: type[R]
    progress: Progress = untold

    def result_of(self, told: Mapping[str, Any]) -> R:
        """What was told, typed. RemoteProtocolError for anything else, as of another version of the program."""
        try:
            return msgspec.convert(told, self.kind)
        except msgspec.ValidationError as error:
            raise RemoteProtocolError(
                f"the agent tells something else of {self.verb} than it should: {error}"
            ) from error


def path_of(verb: str) -> str:
    return f"/api/v1/agent/{verb}"


def watch_path(ref: str) -> str:
    return path_of("watch") + (f"?ref={quote(ref, safe='')}" if ref else "")


def publish(
    path: Path,
    *names: str,
    message: str = "",
    links: Literal["refuse", "skip", "follow"] = "refuse",
    if_serial: int | None = None,
    budget: Budget | None = None,
    validate: Iterable[str] = (),
    dry_run: bool = False,
    copies: int | None = None,
    within_s: float | None = None,
    progress: Progress = untold,
) -> Call[Published]:
    """Publish a directory or file under one or more tags of a dataset: all of them move, or none.

    ``validate`` are commands for the shell that must succeed before it is announced; ``copies``: wait until so many
    other peers hold it, for ``within_s``.
    """
    given: dict[str, Any] = {"path": _whole(path), "names": list(names), "message": message, "links": links}
    given |= {
        "if_serial": if_serial,
        "validate": list(validate),
        "dry_run": dry_run,
        "copies": copies,
        "typed_in": os.getcwd(),
    }
    given |= {"within_s": within_s} if within_s is not None else {}
    given |= {"budget": msgspec.to_builtins(budget)} if budget is not None else {}
    return Call("publish", given, Published, progress)


def pull(
    ref: str, directory: Path, *, include: Iterable[str] = (), force: bool = False, progress: Progress = untold
) -> Call[Pulled]:
    """Bring a version into a directory; what is there already is reused. ``force`` overwrites altered files."""
    given = {"ref": ref, "directory": _whole(directory), "include": list(include), "force": force}
    return Call("pull", given, Pulled, progress)


def datasets() -> Call[DatasetList]:
    """The datasets and their tags."""
    return Call("ls", {}, DatasetList)


def files(ref: str) -> Call[FileList]:
    """The files of a version, or those below a path in it."""
    return Call("ls", {"ref": ref}, FileList)


def inspect(ref: str) -> Call[Inspected]:
    """What is known of one version."""
    return Call("inspect", {"ref": ref}, Inspected)


def history(ref: str, *, figures: bool = False, last: int | None = None) -> Call[History]:
    """The ``last`` entries of a dataset, or that moved a tag, newest last. ``figures``: with what each move cost who
    followed it.
    """
    given = {"last": last} if last is not None else {}
    return Call("history", {"ref": ref, "figures": figures, **given}, History)


def verify(directory: Path, ref: str) -> Call[Verified]:
    """Compare a directory with a version, byte for byte."""
    return Call("verify", {"directory": _whole(directory), "ref": ref}, Verified)


def tag(ref: str, *names: str, if_serial: int | None = None) -> Call[Committed]:
    """Give a version other names: all of them, or none."""
    return Call("tag", {"ref": ref, "names": list(names), "if_serial": if_serial}, Committed)


def rollback(name: str, *, to: int | None = None, if_serial: int | None = None) -> Call[Committed]:
    """Let a tag point to the version that it had before, or at the serial ``to``."""
    return Call("rollback", {"name": name, "to": to, "if_serial": if_serial}, Committed)


def rm(*names: str, if_serial: int | None = None) -> Call[Committed]:
    """Remove tags, all or none; their versions stay in the history."""
    return Call("rm", {"names": list(names), "if_serial": if_serial}, Committed)


def pin(ref: str) -> Call[KeepRule]:
    """Keep a version, whatever the keep rule of its dataset says. The result is that rule."""
    return Call("pin", {"ref": ref}, KeepRule)


def unpin(ref: str) -> Call[KeepRule]:
    """Leave a version that was pinned to the keep rule."""
    return Call("unpin", {"ref": ref}, KeepRule)


def keep(dataset: str, *, last: int | None = None, age_s: int | None = None, clear: bool = False) -> Call[KeepRule]:
    """Keep the ``last`` versions of a dataset, or those to which a tag pointed within ``age_s``, or what either keeps;
    ``clear`` keeps all again. Without any of them: what the rule is.
    """
    return Call("keep", {"name": dataset, "last": last, "age_s": age_s, "clear": clear}, KeepRule)


def subscribe(
    ref: str,
    directory: Path,
    *,
    keep: int | None = None,
    validate: str | None = None,
    hook: str | None = None,
    include: Iterable[str] | None = None,
    require_signer: str | None = None,
    wait: bool = True,
    progress: Progress = untold,
) -> Call[Subscription]:
    """Keep ``directory/current`` at the version that ``ref`` means; ``wait`` until the first one is.

    ``keep`` old versions stay beside it; ``validate`` and ``hook`` are commands for the shell. ``require_signer`` are
    key ids, parted by commas, of whom alone the tag is followed. In a directory that is subscribed already, what is
    None stays as it was.
    """
    named: dict[str, Any] = {"keep": keep, "validate": validate, "hook": hook, "require_signer": require_signer}
    named["include"] = list(include) if include is not None else None
    given = {name: value for name, value in named.items() if value is not None}
    given |= {"ref": ref, "directory": _whole(directory), "wait": wait}
    return Call("subscribe", given, Subscription, progress)


def unsubscribe(name: Path) -> Call[Subscription]:
    """Follow a reference no longer; its directory stays as it is. ``name``: an id or a directory."""
    return Call("unsubscribe", {"name": _name(name)}, Subscription)


def subscription(name: Path) -> Call[SubscriptionList]:
    """The subscription of an id or a directory, in a list of one."""
    return Call("subscriptions", {"name": _name(name)}, SubscriptionList)


def subscriptions() -> Call[SubscriptionList]:
    """What the home follows, and how that stands."""
    return Call("subscriptions", {}, SubscriptionList)


def pause(name: Path) -> Call[Subscription]:
    """Let a subscription stay with its current version."""
    return Call("pause", {"name": _name(name)}, Subscription)


def resume(name: Path) -> Call[Subscription]:
    """Let a paused subscription follow its reference again."""
    return Call("resume", {"name": _name(name)}, Subscription)


def status() -> Call[dict[str, Any]]:
    """What the peer does, holds and waits for."""
    return Call("status", {}, dict[str, Any])


def shutdown(*, wait: bool = True, limit_s: float | None = None, progress: Progress = untold) -> Call[Stopping]:
    """End the peer, once what it publishes is stored; ``limit_s`` is how long that is waited for at most."""
    return Call("shutdown", {"wait": wait, "limit_s": limit_s}, Stopping, progress)


def _whole(path: Path) -> str:
    return os.path.abspath(os.path.expanduser(os.fspath(path)))


def _name(name: Path) -> str:
    """An id as it is told, or a directory."""
    text = os.fspath(name)
    return text if len(text) == 16 and not text.strip("0123456789abcdef") else _whole(text)
