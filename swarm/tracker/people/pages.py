"""The pages by which people sign in with a browser: HTML without code, forms that come back to us.

Whatever is put into a page is escaped; ``swarm.http.browsers`` says in every answer what a browser must not do with it.
"""

from __future__ import annotations

import html
import time
from typing import Final

from aiohttp import web

from swarm.errors import AetherError, NotSignedInError, UsageError
from swarm.http.browsers import SESSION_COOKIE
from swarm.http.routes import Route
from swarm.people_messages import SESSION_TTL_S
from swarm.principal import ANONYMOUS, Principal
from swarm.tracker.state import TrackerState, remote_of

PAGE: Final = "/ui/"
SIGN_IN: Final = "/ui/signin"
SIGN_OUT: Final = "/ui/signout"
STYLE_PATH: Final = "/ui/style.css"
HTML: Final = "text/html"
FORM: Final = "application/x-www-form-urlencoded"
FORM_MAX_BYTES: Final = 8192
STYLE: Final = """\
body { font: 16px/1.5 system-ui, sans-serif; margin: 10vh auto; max-width: 24rem; padding: 0 1rem; }
h1 { font-size: 1.25rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
label { margin-top: 1rem; }
input, button { padding: 0.5rem; margin-top: 0.25rem; }
button { margin-top: 1.5rem; }
.wrong { border-left: 0.25rem solid #b00; padding-left: 0.75rem; }
"""


def page_routes(state: TrackerState) -> list[Route]:
    """The declarations. No form changes anything but who is signed in."""
    serve = _Serve(state)

    def route(method: str, path: str, name: str, summary: str, request: str | None, response: str) -> Route:
        handler = state.counted("page", getattr(serve, name))
        return Route(method, path, handler, "public", summary, request=request, response=response)

    return [
        route("GET", PAGE, "who", "Who is signed in with this browser", None, HTML),
        route("GET", SIGN_IN, "form", "The form to sign in with", None, HTML),
        route("POST", SIGN_IN, "sign_in", "Sign in: the fields user and password", FORM, HTML),
        route("POST", SIGN_OUT, "sign_out", "End the session of this browser", None, HTML),
        route("GET", STYLE_PATH, "style", "How the pages look", None, "text/css"),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state

    async def who(self, request: web.Request) -> web.StreamResponse:
        try:
            who = await self.state.identifier.identify(request)
        except NotSignedInError:
            who = ANONYMOUS
        if who == ANONYMOUS:
            return _to(SIGN_IN)
        return _page("Signed in", _who(who))

    async def form(self, request: web.Request) -> web.StreamResponse:
        return _page("Sign in", _form(""))

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        try:
            name, password = await _fields(request)
            user = await self.state.identifier.signed_in(name, password.encode(), remote_of(request))
        except AetherError as error:
            return _page("Sign in", _form(str(error)), status=error.http_status)
        text, _ = self.state.identifier.sessions.begin(user.name, user.stamp, "cookie", time.time())
        response = _to(PAGE)
        # A new session at every sign-in: nobody can have given this browser one before.
        response.set_cookie(
            SESSION_COOKIE, text, max_age=SESSION_TTL_S, path="/", secure=True, httponly=True, samesite="Strict"
        )
        return response

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

    async def style(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=STYLE, content_type="text/css")


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


def _page(title: str, body: str, *, status: int = 200) -> web.Response:
    """A page of ours around ``body``, in which everything is escaped already."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)} - AetherFS</title>'
    link = f'<link rel="stylesheet" href="{STYLE_PATH}"><meta name="viewport" content="width=device-width">'
    shown = f"<h1>{html.escape(title)}</h1>{body}"
    text = f'<!doctype html>\n<html lang="en"><head>{head}{link}</head><body>{shown}</body></html>\n'
    return web.Response(status=status, text=text, content_type=HTML)


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


def _form(wrong: str) -> str:
    told = f'<p class="wrong" role="alert">{html.escape(wrong)}</p>' if wrong else ""
    return (
        f'{told}<form method="post" action="{SIGN_IN}">'
        '<label>User<input name="user" autocomplete="username" required autofocus></label>'
        '<label>Password<input name="password" type="password" autocomplete="current-password" required></label>'
        "<button>Sign in</button></form>"
    )


def _who(who: Principal) -> str:
    groups = "".join(f"<li>{html.escape(group)}</li>" for group in who.groups)
    told = f"<p>Groups:</p><ul>{groups}</ul>" if groups else ""
    return (
        f"<p>You are <strong>{html.escape(who.name)}</strong>.</p>{told}"
        f'<form method="post" action="{SIGN_OUT}"><button>Sign out</button></form>'
    )
