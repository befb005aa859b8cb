"""Commands of membership: join, and token create. Also how a role's ``--join-file`` makes its home a member.

A token comes as text, as a file, on stdin or in AETHERFS_TOKEN. It is parsed before anything is dialled, so a garbled
one is a slip (exit 2), while a refusal by the tracker is a refusal (exit 4).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from swarm.cli.output import moment
from swarm.cli.program import Program, options, pass_program, setting_option
from swarm.errors import (
    AetherError,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    UsageError,
)
from swarm.limits import BOOTSTRAP_MAX, TOKEN_MAX_CHARS, TOKEN_MAX_LIFETIME_S, TOKEN_MAX_USES
from swarm.units import counted

if TYPE_CHECKING:
    from swarm.home import Home
    from swarm.messages import JoinAnswer
    from swarm.token import Token

TOKEN_VARIABLE: Final = "AETHERFS_TOKEN"
TOKEN_START: Final = "aetherfs1."
_TTL: Final = re.compile(r"([0-9]{1,9})([smhd]?)")
_TTL_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.command()
@click.argument("token", metavar="TOKEN|FILE|-", required=False)
@setting_option("seal_key", "FILE")
@options
@pass_program
def join(program: Program, token: str | None) -> None:
    """Make this home a member of a swarm.

    A member learns where the trackers of the token are: where all have moved, any token of the swarm leads back to it,
    also one that is used up.
    """
    from swarm.cli.rejoining import join_again

    text = read_token(token, os.environ.get(TOKEN_VARIABLE), sys.stdin)
    home = program.home
    is_new = enrol(home, text)
    met = [] if is_new else join_again(program, text)
    result = {"joined": is_new, "peer": home.key().peer_id, "home": str(home.path), "trackers": met}
    done = "is now" if is_new else "was already"
    lines = [f"{home.path} {done} a member of the swarm, as {result['peer']}"]
    lines += [f"it asks the tracker at {address} too from now on" for address in met]
    program.output.result(result, lines)


@click.group()
def token() -> None:
    """Make tokens that let a home join."""


@token.command()
@click.option("--role", type=click.Choice(["peer", "seed", "tracker"]), default="peer", show_default=True)
@click.option("--uses", type=click.IntRange(1, TOKEN_MAX_USES), default=1, show_default=True, help="How many homes.")
@click.option("--ttl", default="1h", show_default=True, metavar="TIME", help="Until it expires: 90s, 30m, 1h, 7d.")
@click.option(
    "--datasets", multiple=True, metavar="PATTERN", help="What may be read and published; default everything."
)
@click.option("--site", default="", metavar="NAME", help="Where the joining homes are.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="What rules of `access` may name them by.")
@options
@pass_program
def create(
    program: Program, role: str, uses: int, ttl: str, datasets: tuple[str, ...], site: str, labels: tuple[str, ...]
) -> None:
    """Print one join token; on a tracker's home, or where `access` allows admin on '*', while it runs."""
    from swarm.cli.perform import perform
    from swarm.names import check_name, check_pattern
    from swarm.principal import check_labels

    patterns = [check_pattern(part) for text in datasets for part in text.split(",")] or ["*"]
    arguments = {
        "role": role,
        "uses": uses,
        "ttl_s": seconds_of(ttl),
        "datasets": patterns,
        "site": check_name(site, "site") if site else "",
        "labels": list(check_labels(labels)),
    }
    result = perform(program, "token", arguments)
    program.output.result(result, [result["token"]])
    if not program.json and "expires" in result:
        program.output.note(f"for {counted(uses, 'home')} as {role}, until {moment(result['expires'])}")


def seconds_of(text: str) -> int:
    """A lifetime as ``90``, ``90s``, ``30m``, ``1h`` or ``7d``, or UsageError."""
    match = _TTL.fullmatch(text)
    seconds = int(match[1]) * _TTL_UNITS[match[2]] if match else 0
    if not 1 <= seconds <= TOKEN_MAX_LIFETIME_S:
        raise UsageError(
            f"{text!r} is not a lifetime: write 90s, 30m, 1h or 7d, at most {TOKEN_MAX_LIFETIME_S // 86_400}d"
        )
    return seconds


def read_token(given: str | None, variable: str | None, stdin: TextIO) -> str:
    """The token's text from wherever it is. UsageError without one, NotFoundError for a file that is not there."""
    if given is None:
        if not variable:
            raise UsageError(
                f"no token was given: write `aetherfs join TOKEN`, a file, `-` for stdin, or set {TOKEN_VARIABLE}"
            )
        return variable.strip()
    if given == "-":
        return _some(stdin.read(TOKEN_MAX_CHARS + 1), "standard input")
    if given.strip().startswith(TOKEN_START):
        return given.strip()
    if "/" in given or os.path.isfile(given):
        return read_token_file(given)
    return given


def _some(text: str, where: str) -> str:
    if not text.strip():
        raise UsageError(f"{where} holds no token: `aetherfs token create`, on a tracker's home, prints one")
    return text.strip()


def read_token_file(path: str) -> str:
    """The token in a file. NotFoundError when it is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return _some(file.read(TOKEN_MAX_CHARS + 1), path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{path} is not there: write a token into it with `aetherfs token create`") from error
    except OSError as error:
        raise AetherError(f"cannot read {path}: {error.strerror}; check the file with the token") from error


def enrol(home: Home, text: str) -> bool:
    """Join with a token, unless this home is a member of that swarm already (False). Raises what joining raises."""
    from swarm.cli.perform import run_interruptible
    from swarm.joining import join as join_swarm
    from swarm.token import parse_token

    parsed = parse_token(text)
    if _is_member(home, parsed):
        return False
    home.open()
    try:
        if _is_member(home, parsed):
            return False
        remember(home, run_interruptible(join_swarm(parsed, home.key())))
    finally:
        home.close()
    return True


def _is_member(home: Home, token: Token) -> bool:
    from swarm.authority import fingerprints_of

    if not home.is_enrolled():
        return False
    if token.fingerprint not in fingerprints_of(home.trust()):
        raise ConflictError(
            f"{home.path} is a member of another swarm than the token's: set AETHERFS_HOME to another folder for this "
            "one"
        )
    return True


def remember(home: Home, answer: JoinAnswer) -> None:
    """Make the home a member with what a tracker answered."""
    from swarm.home import Papers, SwarmState
    from swarm.keyring import decode_keyring

    papers = Papers(certificate=answer.certificate, root=answer.ca, credential=answer.credential, grant=answer.grant)
    before = home.swarm() if home.is_enrolled() else None
    met = {contact.public: contact for contact in (*(before.bootstrap if before else ()), *answer.bootstrap)}
    state = SwarmState(
        format=1,
        secret=answer.secret,
        trackers=answer.trackers or (before.trackers if before else ()),
        bootstrap=tuple(met.values())[-BOOTSTRAP_MAX:],
        store_key=answer.store_key,
    )
    home.enrol(papers, state, decode_keyring(answer.keys))


def _follow(program: Program, path: str) -> None:
    from swarm.cli.rejoining import follow_token

    try:
        follow_token(program, read_token_file(path))
    except NotFoundError:
        return  # It was for the first start.
    except AetherError as error:
        program.output.note(f"the token in {path} leads nowhere: {error}")


def ensure_enrolled(program: Program) -> None:
    """What a role does before it starts: a home that is no member yet joins with ``--join-file``, or this says how. A
    member is led by it to where trackers are now; what is wrong with the file is no reason not to start.
    """
    home = program.home
    if home.is_enrolled():
        if program.settings.join_file:
            _follow(program, program.settings.join_file)
        return
    if not program.settings.join_file:
        raise NotAllowedError(
            f"{home.path} is not enrolled in a swarm: give --join-file FILE, run `aetherfs join TOKEN`, or "
            "`aetherfs up` for a swarm of its own"
        )
    enrol(home, read_token_file(str(Path(program.settings.join_file))))
