"""The pages by which people sign in with a browser: HTML without code, forms that come back to us.

Whatever is put into a page is escaped; ``swarm.http.browsers`` says in every answer what a browser must not do with it.
"""

from __future__ import annotations

import contextlib
import html
import re
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from aiohttp import web

from swarm.errors import AetherError, NotSignedInError, UsageError
from swarm.http.browsers import SESSION_COOKIE
from swarm.http.routes import Route
from swarm.oidc.flows import AGAIN
from swarm.people_messages import SESSION_TTL_S, VisitorAnswer
from swarm.principal import ANONYMOUS, Principal
from swarm.tracker.guards import asker_behind
from swarm.tracker.people.by_issuer import BEGUN_COOKIE, SIGNED_IN, ByIssuer
from swarm.tracker.people.serve import told_of
from swarm.tracker.people.sessions import ISSUED_TTL_S
from swarm.tracker.policy import may_any
from swarm.tracker.state import TrackerState, answer, remote_of
from swarm.tracker.web_files import HTML, STATIC, head_of, site

PAGE: Final = "/ui/"
SIGN_IN: Final = "/ui/signin"
SIGN_OUT: Final = "/ui/signout"
VISITOR: Final = "/ui/visitor"
FORM: Final = "application/x-www-form-urlencoded"
FORM_MAX_BYTES: Final = 8192
NEXT_MAX_CHARS: Final = 1024
# Where somebody may be sent after signing in: a page of ours, and nothing that a browser would take for another host.
_NEXT: Final = re.compile(r"/ui/(?!/)(?!sign)[A-Za-z0-9._~/?&=%@:+,-]*")


def page_routes(state: TrackerState) -> list[Route]:
    """The declarations. No form changes anything but who is signed in."""
    serve = _Serve(state)

    def route(method: str, path: str, name: str, summary: str, request: str | None, response: str | type) -> Route:
        handler = state.counted("page", getattr(serve, name))
        return Route(method, path, handler, "public", summary, request=request, response=response)

    return [
        route("GET", SIGN_IN, "form", "The form to sign in with", None, HTML),
        route("GET", SIGN_IN + "/{issuer}", "begin", "Sign in at an OIDC issuer", None, HTML),
        route("GET", SIGNED_IN + "/{issuer}", "finish", "Come back from an OIDC issuer", None, HTML),
        route("POST", SIGN_IN, "sign_in", "Sign in: the fields user and password", FORM, HTML),
        route("POST", SIGN_OUT, "sign_out", "End the session of this browser", None, HTML),
        route("GET", VISITOR, "visitor", "Who looks with this browser", None, VisitorAnswer),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state
        self._by_issuer = ByIssuer(state.identifier)

    async def form(self, request: web.Request) -> web.StreamResponse:
        return await self._shown("", _next_of(request))

    async def begin(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._by_issuer.begin(request, _next_of(request))
        except AetherError as error:
            return await self._shown(str(error), _next_of(request), status=error.http_status)

    async def finish(self, request: web.Request) -> web.StreamResponse:
        try:
            text, after = await self._by_issuer.finish(request)
        except AetherError as error:
            response = await self._shown(str(error).replace(AGAIN, ""), PAGE, status=error.http_status)
        else:
            # The way here began at another site, so the browser shows the session's cookie only to what the page asks.
            response = _with_session(_to(after), text, ISSUED_TTL_S)
        response.del_cookie(BEGUN_COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return response

    async def _shown(self, wrong: str, after: str, *, status: int = 200) -> web.Response:
        """The form, and the issuers at which one may sign in instead."""
        issuers: list[str] = []
        with contextlib.suppress(AetherError):
            known = await self.state.work(self.state.identifier.people.issuers)
            issuers = [one.issuing.name for one in known]
        return _page("Sign in", _form(wrong, after, issuers), status=status)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        try:
            name, password = await _fields(request)
            user = await self.state.identifier.signed_in(name, password.encode(), remote_of(request))
        except AetherError as error:
            if isinstance(error, NotSignedInError):
                self.state.noted.refused(ANONYMOUS, "sign in", "-")
            return await self._shown(str(error), _next_of(request), status=error.http_status)
        text, _ = self.state.identifier.sessions.begin(user.name, user.stamp, "cookie", time.time())
        return _with_session(_to(_next_of(request)), text, SESSION_TTL_S)

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        text = request.cookies.get(SESSION_COOKIE, "")
        try:
            session, _ = await self.state.identifier.session_of(text, "cookie")
            await self.state.work(self.state.identifier.people.end_session, session.key)
        except NotSignedInError:
            pass  # It has ended already, which is what was asked for.
        response = _to(SIGN_IN)
        response.del_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
        return response

    async def visitor(self, request: web.Request) -> web.StreamResponse:
        """What the dashboard asks before all else, so that who is not signed in asks nothing that is refused."""
        who = await self._who(request)
        may_look = who != ANONYMOUS or may_any((await self.state.policy()).policy, who, "read")
        response = answer(VisitorAnswer(told_of(who) if who != ANONYMOUS else None, may_look))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _who(self, request: web.Request) -> Principal:
        try:
            return (await asker_behind(self.state, request)).who
        except NotSignedInError:
            if "Authorization" in request.headers:
                raise
            return ANONYMOUS  # The browser's session has ended.


async def _fields(request: web.Request) -> tuple[str, str]:
    """Name and password out of the form, or UsageError."""
    if request.content_type != FORM or (request.content_length or 0) > FORM_MAX_BYTES:
        raise UsageError("this form has a user and a password")
    try:
        form = await request.post()
    except (ValueError, LookupError) as error:
        raise UsageError("the form is malformed") from error
    name, password = form.get("user"), form.get("password")
    if not isinstance(name, str) or not isinstance(password, str):
        raise UsageError("this form has a user and a password")
    return name, password


def _next_of(request: web.Request) -> str:
    """Where the browser came from, if that is a page of ours."""
    text = request.query.get("next", PAGE)
    return text if len(text) <= NEXT_MAX_CHARS and ".." not in text and _NEXT.fullmatch(text) else PAGE


def _page(title: str, body: str, *, status: int = 200) -> web.Response:
    """A page of ours around ``body``, in which everything is escaped already."""
    head = head_of(f"{html.escape(title)} - AetherFS", site().digest)
    brand = f'<p class="brand"><img src="{STATIC}/{site().digest}/icon.svg" alt="">AetherFS</p>'
    shown = f'<main class="card">{brand}<h1>{html.escape(title)}</h1>{body}</main>'
    text = f'<!doctype html>\n<html lang="en"><head>{head}</head><body class="signin">{shown}</body></html>\n'
    return web.Response(status=status, text=text, content_type=HTML)


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


def _with_session(response: web.Response, text: str, ttl_s: int) -> web.Response:
    """A new session at every sign-in: nobody can have given this browser one before."""
    response.set_cookie(SESSION_COOKIE, text, max_age=ttl_s, path="/", secure=True, httponly=True, samesite="Strict")
    return response


def _form(wrong: str, after: str, issuers: Iterable[str]) -> str:
    told = f'<p class="wrong" role="alert">{html.escape(wrong)}</p>' if wrong else ""
    query = f"?next={quote(after, safe='')}" if after != PAGE else ""
    return (
        f'{told}<form method="post" action="{SIGN_IN}{html.escape(query)}">'
        '<label>User<input name="user" autocomplete="username" required autofocus></label>'
        '<label>Password<input name="password" type="password" autocomplete="current-password" required></label>'
        '<button class="button is-main">Sign in</button></form>' + "".join(_issuer(name, query) for name in issuers)
    )


def _issuer(name: str, query: str) -> str:
    """A link and no form: our policy forbids that a form leads to another site."""
    return f'<a class="button" href="{SIGN_IN}/{quote(name)}{html.escape(query)}">Sign in with {html.escape(name)}</a>'
