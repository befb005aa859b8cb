"""Commands that say who is known to the swarm's trackers: user, service, issuer. On a tracker's home, while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from swarm.cli.enrol import seconds_of
from swarm.cli.output import columns, moment
from swarm.cli.program import Program, options, pass_program
from swarm.errors import AetherError, NotFoundError, UsageError

PASSWORD_VARIABLE: Final = "AETHERFS_PASSWORD"
FILE_MAX_BYTES: Final = 8192

groups_option = click.option("--group", "groups", multiple=True, metavar="NAME", help="A group; may be repeated.")
password_option = click.option(
    "--password-file", metavar="FILE|-", help=f"Where the password is; default {PASSWORD_VARIABLE}, else it is asked."
)


@click.group()
def user() -> None:
    """Say who may sign in with a password."""


@user.command()
@click.argument("name")
@groups_option
@password_option
@options
@pass_program
def add(program: Program, name: str, groups: tuple[str, ...], password_file: str | None) -> None:
    """Let NAME sign in with a password."""
    body = {"password": read_password(password_file, name, is_new=True), "groups": groups, "is_new": True}
    result = _ask(program, "user", "put", name, body)
    program.output.result(result, [f"{name} is a user now{_in_groups(groups)}"])


@user.command()
@click.argument("name")
@password_option
@options
@pass_program
def passwd(program: Program, name: str, password_file: str | None) -> None:
    """Give NAME another password. Sessions that were begun with the former one end."""
    result = _ask(program, "user", "put", name, {"password": read_password(password_file, name, is_new=True)})
    program.output.result(result, [f"{name} has another password"])


@user.command()
@click.argument("name")
@groups_option
@options
@pass_program
def groups(program: Program, name: str, groups: tuple[str, ...]) -> None:
    """Put NAME into these groups, and out of all others."""
    result = _ask(program, "user", "put", name, {"groups": groups})
    program.output.result(result, [f"{name} is{_in_groups(groups) or ' in no group'}"])


@user.command()
@click.argument("name")
@options
@pass_program
def rm(program: Program, name: str) -> None:
    """Remove a user: the password and all sessions count no more."""
    _remove(program, "user", name, "is no user any more")


@user.command("ls")
@options
@pass_program
def list_users(program: Program) -> None:
    """List the users."""
    _list(program, "user", lambda one: [one["name"], ", ".join(one["groups"]) or "-", moment(one["changed"])])


@user.command("sign-out")
@click.argument("name")
@options
@pass_program
def sign_out(program: Program, name: str) -> None:
    """End all sessions of NAME, and all tokens that an issuer gave him until now (NAME: ISSUER/who)."""
    result = _ask(program, "signout", "put", body={"subject": f"user:{name}"})
    program.output.result(result, [f"what was issued to {name} until now does not count any more"])


@click.group()
def service() -> None:
    """Make API tokens for programs, and revoke them."""


@service.command("add")
@click.argument("name")
@groups_option
@click.option("--ttl", default="90d", show_default=True, metavar="TIME", help="Until it expires: 1h, 30d.")
@options
@pass_program
def add_service(program: Program, name: str, groups: tuple[str, ...], ttl: str) -> None:
    """Print a new API token for the service NAME. It is shown this once."""
    result = _ask(program, "service", "put", name, {"groups": groups, "ttl_s": seconds_of(ttl)})
    program.output.result(result, [result["token"]])
    if not program.json:
        program.output.note(f"for service:{name}, id {result['id']}, until {moment(result['expires'])}")


@service.command("rm")
@click.argument("name", metavar="NAME|ID")
@options
@pass_program
def remove_service(program: Program, name: str) -> None:
    """Revoke one API token by its id, or all of a service."""
    _remove(program, "service", name, "is revoked")


@service.command("ls")
@options
@pass_program
def list_services(program: Program) -> None:
    """List the API tokens, without their secrets."""
    _list(
        program,
        "service",
        lambda one: [one["name"], one["id"], ", ".join(one["groups"]) or "-", f"until {moment(one['expires'])}"],
    )


@click.group()
def issuer() -> None:
    """Say which OIDC issuers' people are known."""


@issuer.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--client-id", required=True, metavar="ID", help="What we are registered as, without secret.")
@click.option("--audience", metavar="TEXT", help="Whom its tokens have to be for; default the client id.")
@click.option("--user-claim", default="sub", show_default=True, metavar="CLAIM", help="What names somebody.")
@click.option("--groups-claim", default="groups", show_default=True, metavar="CLAIM", help="What lists groups.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="What login asks for; may be repeated.")
@click.option("--algorithm", "algorithms", multiple=True, metavar="ALG", help="RS256 and ES256, unless named.")
@click.option("--ca-file", metavar="FILE", help="Whom the issuer's TLS is believed by (PEM); default the system's.")
@options
@pass_program
def add_issuer(program: Program, /, name: str, url: str, **given: Any) -> None:
    """Believe the tokens of the OIDC issuer at URL: its people are user:NAME/..., its groups group:NAME/..."""
    ca_file, audience = given.pop("ca_file"), given.pop("audience")
    body = {key: value for key, value in given.items() if value != ()}
    body |= {"name": name, "issuer": url, "audience": audience or given["client_id"]}
    if ca_file is not None:
        body["ca"] = read_text(Path(ca_file), "the issuer's CA")
    result = _ask(program, "issuer", "put", name, body)
    lines = [f"tokens of {url} for {body['audience']} are believed; its people are user:{name}/..."]
    lines += [f"browsers come back to /ui/signedin/{name} of a tracker: register that address at the issuer"]
    program.output.result(result, lines)


@issuer.command("rm")
@click.argument("name")
@options
@pass_program
def remove_issuer(program: Program, name: str) -> None:
    """Believe an issuer's tokens no more."""
    _remove(program, "issuer", name, "is believed no more")


@issuer.command("ls")
@options
@pass_program
def list_issuers(program: Program) -> None:
    """List the issuers."""
    _list(program, "issuer", lambda one: [one["name"], one["issuer"], f"for {one['audience']}"])


def read_password(file: str | None, name: str, *, is_new: bool) -> str:
    """A password from a file, from stdin (``-``), from the environment, or asked on the terminal; a new one twice."""
    if file == "-":
        return sys.stdin.readline(FILE_MAX_BYTES).rstrip("\r\n")
    if file is not None:
        return read_text(Path(file), "the password").rstrip("\r\n")
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    if not sys.stdin.isatty():
        raise UsageError(f"no password was given: use --password-file FILE, `-` for stdin, or set {PASSWORD_VARIABLE}")
    return str(click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=is_new, err=True))


def _ask(
    program: Program, what: str, action: str, name: str = "", body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    from swarm.cli.perform import perform

    return perform(program, "people", {"what": what, "action": action, "name": name, "body": body or {}})


def _remove(program: Program, what: str, name: str, said: str) -> None:
    program.output.result(_ask(program, what, "rm", name), [f"{name} {said}"])


def _list(program: Program, what: str, row: Callable[[Mapping[str, Any]], list[str]]) -> None:
    result = _ask(program, what, "ls")
    program.output.result(result, columns(list(map(row, result[f"{what}s"]))))


def _in_groups(groups: Iterable[str]) -> str:
    named = ", ".join(groups)
    return f" in {named}" if named else ""


def read_text(path: Path, what: str) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(FILE_MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFoundError(f"{path} is not there: it should hold {what}; check the path") from error
    except OSError as error:
        raise AetherError(f"cannot read {path}: {error.strerror}; it should hold {what}") from error
