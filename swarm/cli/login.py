"""Commands of who is signed in at a home: login, logout, whoami.

A home that is a member calls the swarm's trackers by their keys. Any other names one with ``--tracker URL``, whose TLS
is then believed as any web server's is.
"""

from __future__ import annotations

import base64
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from swarm.cli.output import moment
from swarm.cli.people import read_password, read_text
from swarm.cli.program import Program, options, pass_program
from swarm.errors import AetherError, NotAllowedError, NotFoundError, UsageError

if TYPE_CHECKING:
    import aiohttp

    from swarm.client import TrackerClient
    from swarm.home import Home
    from swarm.login import Login
    from swarm.oidc.flows import DeviceCode, Tokens
    from swarm.people_messages import Issuing

# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
WRONG_NAMES: Final = (62, 64)
ANSWER_MAX_BYTES: Final = 1024 * 1024
TIMEOUT_S: Final = 15.0


class Caller(Protocol):
    """A tracker that can be asked."""

    async def __call__(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> bytes: ...


@click.command()
@click.argument("issuer", required=False)
@click.option("--device", is_flag=True, help="By a code that is typed on another device, not by a browser here.")
@click.option("--user", metavar="NAME", help="With a password, as this user.")
@click.option("--password-file", metavar="FILE|-", help="Where the password is; default AETHERFS_PASSWORD, else asked.")
@click.option("--token-file", metavar="FILE|-", help="With the API token of a service, from a file or stdin.")
@click.option("--tracker", metavar="URL", help="Where to sign in, for a home that is no member: https://host:port.")
@click.option("--ca-file", metavar="FILE", help="Whom the TLS of --tracker is believed by (PEM); default the system's.")
@options
@pass_program
def login(program: Program, /, issuer: str | None, **given: Any) -> None:
    """Sign in at the swarm's trackers, as a person or a service.

    At the OIDC issuer ISSUER (the only one, if there is one), with a password, or with an API token. What the tracker
    decides for commands on this home it then decides by who is signed in.
    """
    from swarm.cli.perform import run_interruptible

    tracker, ca_file = given["tracker"] or "", given["ca_file"]
    ca = read_text(Path(ca_file), "the tracker's CA") if ca_file is not None else ""
    run_interruptible(_login(program, issuer, given, tracker, ca))


async def _login(program: Program, issuer: str | None, given: Mapping[str, Any], tracker: str, ca: str) -> None:
    from swarm.login import Logins

    async with _tracker(program, tracker, ca) as call:
        if given["user"]:
            made = await _by_password(call, given["user"], given["password_file"])
        elif given["token_file"]:
            made = _by_token(given["token_file"])
        else:
            made = await _by_issuer(program, call, issuer, is_device=given["device"])
        who = await _who(call, f"Bearer {made.token}")
        import msgspec

        Logins(program.home).write(msgspec.structs.replace(made, tracker=tracker, ca=ca))
    until = f", until {moment(made.expires)}" if made.kind != "service" else ""
    program.output.result(who, [f"signed in as {who['subjects'][0]}{until}"])


@click.command()
@options
@pass_program
def logout(program: Program) -> None:
    """Sign out, here and where it was signed in."""
    from swarm.cli.perform import run_interruptible

    was = run_interruptible(_logout(program))
    program.output.result({"signed_out": was}, ["signed out" if was else "nobody was signed in"])


async def _logout(program: Program) -> bool:
    from swarm.login import Logins

    made = await Logins(program.home).remove()
    if made is None:
        return False
    try:
        if made.kind == "session":
            async with _tracker(program, made.tracker, made.ca) as call:
                await call("DELETE", "/api/v1/session", {"Authorization": f"Bearer {made.token}"})
        elif made.issuing is not None and made.refresh_token:
            await _revoke(made.issuing, made.refresh_token)
    except AetherError as error:
        program.output.note(f"nobody is signed in here any more; elsewhere it ends by itself: {error}")
    return True


async def _revoke(issuing: Issuing, refresh_token: str) -> None:
    """RFC 7009, where the issuer offers it."""
    from swarm.oidc.discovery import discover
    from swarm.oidc.fetch import post_form

    endpoint = (await discover(issuing.issuer, issuing.ca)).revocation_endpoint
    if endpoint:
        form = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": issuing.client_id}
        await post_form(endpoint, issuing.ca, form)


@click.command()
@options
@pass_program
def whoami(program: Program) -> None:
    """Show whom the tracker takes this home for.

    That is who is signed in, or else the peer.
    """
    from swarm.cli.perform import run_interruptible

    result = run_interruptible(_whoami(program))
    lines = [f"{result['kind']}:{result['name']}", *(f"  {subject}" for subject in result["subjects"][1:])]
    program.output.result(result, lines)


async def _whoami(program: Program) -> dict[str, Any]:
    from swarm.login import Logins

    logins = Logins(program.home)
    made = logins.read()
    shown = await logins.authorization()
    async with _tracker(program, made.tracker if made else "", made.ca if made else "") as call:
        return await _who(call, shown)


async def _who(call: Caller, shown: str | None) -> dict[str, Any]:
    from swarm.answers import parsed

    data = await call("GET", "/api/v1/whoami", {"Authorization": shown} if shown is not None else None)
    return parsed(data, dict[str, Any])


# ---- ways to sign in ------------------------------------------------------------------------------------------------


async def _by_password(call: Caller, name: str, file: str | None) -> Login:
    from swarm.answers import parsed
    from swarm.login import Login
    from swarm.people_messages import SignedInAnswer, check_user_name

    password = read_password(file, check_user_name(name), is_new=False)
    basic = base64.b64encode(f"{name}:{password}".encode("utf-8", "surrogatepass")).decode()
    found = parsed(await call("POST", "/api/v1/session", {"Authorization": f"Basic {basic}"}), SignedInAnswer)
    return Login("session", found.token, found.expires)


def _by_token(file: str) -> Login:
    from swarm.login import Login

    text = sys.stdin.readline(4096) if file == "-" else read_text(Path(file), "an API token")
    # When it expires only the tracker knows: no time is told to people.
    return Login("service", text.strip(), time.time() + 10 * 365 * 86_400)


async def _by_issuer(program: Program, call: Caller, name: str | None, *, is_device: bool) -> Login:
    import asyncio
    import webbrowser

    from swarm.login import Login
    from swarm.oidc.discovery import discover
    from swarm.oidc.flows import bearer_of, by_browser, by_device, expiry_of

    issuing = await _issuing(call, name)
    metadata = await discover(issuing.issuer, issuing.ca)

    def show(code: DeviceCode) -> None:
        where = code.verification_uri_complete or code.verification_uri
        program.output.note(f"open {where} on any device, and type the code {code.user_code}")

    async def visit(url: str) -> None:
        program.output.note(f"sign in with your browser at {url}")
        await asyncio.to_thread(webbrowser.open, url)

    tokens: Tokens = await (by_device(metadata, issuing, show) if is_device else by_browser(metadata, issuing, visit))
    bearer = bearer_of(tokens, issuing)
    expires = expiry_of(bearer, tokens, time.time())
    return Login("issuer", bearer, expires, metadata.token_endpoint, tokens.refresh_token, issuing)


async def _issuing(call: Caller, name: str | None) -> Issuing:
    """The issuer of this name, or the only one."""
    from swarm.answers import parsed
    from swarm.people_messages import IssuersAnswer

    told = parsed(await call("GET", "/api/v1/issuers"), IssuersAnswer)
    known = {one.name: one for one in told.issuers}
    if not known:
        raise NotFoundError("this swarm knows no OIDC issuer: sign in with --user NAME, or see `aetherfs issuer add`")
    if name is None and len(known) > 1:
        raise UsageError(f"which issuer? Name one: {', '.join(known)}")
    found = known.get(name) if name is not None else next(iter(known.values()))
    if found is None:
        raise NotFoundError(f"there is no issuer {name}: known are {', '.join(known)}")
    return found


# ---- calls to a tracker ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def _tracker(program: Program, url: str, ca: str) -> AsyncIterator[Caller]:
    """A tracker to ask: that at the URL, or those of the swarm whose member this home is."""
    if url:
        async with _at(url, ca) as caller:
            yield caller
        return
    if not program.home.is_enrolled():
        raise NotAllowedError(f"{program.home.path} is no member of a swarm: say where to sign in with --tracker URL")
    async with member_client(program.home) as client:

        async def ask(method: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
            return await client.calls.call(method, path, headers=headers)

        yield ask


def _not_believed(url: str, error: aiohttp.ClientConnectorCertificateError, *, is_given: bool) -> str:
    """Why a tracker's certificate is not taken for its own, and where the right one is to be had."""
    found = error.certificate_error
    if isinstance(found, ssl.SSLCertVerificationError) and found.verify_code in WRONG_NAMES:
        return f"the certificate of {url} is for other names: call the tracker by one that it is for"
    by = "what --ca-file holds does not vouch for it" if is_given else "no CA of this system vouches for it"
    return (
        f"the certificate of {url} is not believed, {by}: `aetherfs certificate FILE` at a home that has joined "
        "writes the one to give as --ca-file"
    )


def member_client(home: Home) -> TrackerClient:
    """For calls to the swarm's trackers, as the member that this home is. NotAllowedError for one that is none."""
    from swarm.client import TrackerClient

    home.check_enrolled()
    papers = home.papers()
    return TrackerClient(
        home.swarm().trackers, key=home.key(), root=papers.root, files=home.tls_files, trust=home.trust()
    )


@asynccontextmanager
async def _at(url: str, ca: str) -> AsyncIterator[Caller]:
    import aiohttp

    from swarm.calls import read_bounded
    from swarm.errors import UnreachableError
    from swarm.http.problem import error_from
    from swarm.oidc.fetch import check_url, context_for

    try:
        is_tracker = check_url(url).startswith("https://")
    except UsageError:
        is_tracker = False
    if not is_tracker:
        raise UsageError(f"{url[:120]!r} is no tracker's URL: write --tracker https://host:port")
    context = context_for(ca)
    if ca:
        # What is named is believed, whether it is a root or the very certificate that the tracker shows.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def ask(method: str, path: str, headers: Mapping[str, str] | None = None) -> bytes:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            try:
                async with session.request(
                    method, url.rstrip("/") + path, headers=headers, allow_redirects=False, timeout=timeout
                ) as response:
                    data = await read_bounded(response.content, ANSWER_MAX_BYTES)
            except aiohttp.ClientConnectorCertificateError as error:
                raise UnreachableError(_not_believed(url, error, is_given=bool(ca))) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                told = str(error) or "not in time"
                raise UnreachableError(f"{url} does not answer ({told}): check --tracker and --ca-file") from error
            if response.status != 200:
                raise error_from(response.status, data, url)
            return data

        yield ask
