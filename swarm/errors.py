"""The one exception tree.

Rules: a user-facing message is one line that says what happened, why, and what to do next. Each class carries the exit
code of the program and the HTTP status of the same refusal, so that a command, a route and a library caller agree.
Foreign exceptions are mapped to these once, at the shell that meets them.
"""

from __future__ import annotations

from typing import ClassVar


class AetherError(Exception):
    """Something failed in a way that we understand. Exit code 1."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    title: ClassVar[str] = "failure"
    # The number of a denial, by which the tracker that refused can be asked why; empty for other errors.
    denial: str = ""


class UsageError(AetherError):
    """The caller asked for something that is not well-formed. Exit code 2."""

    exit_code = 2
    http_status = 400
    title = "usage error"


class NotFoundError(AetherError):
    """There is no such thing, or the caller may not know that there is. Exit code 3."""

    exit_code = 3
    http_status = 404
    title = "not found"


class HiddenError(NotFoundError):
    """There is no such dataset, or the caller may not know of it: nobody tells which."""


class NotAllowedError(AetherError):
    """The caller is known and may not do this. Exit code 4."""

    exit_code = 4
    http_status = 403
    title = "not allowed"


class NotSignedInError(NotAllowedError):
    """The caller is not known: nothing, or something wrong, was shown that proves who asks. Exit code 4."""

    http_status = 401
    title = "not signed in"


class TooSoonError(NotAllowedError):
    """Who guesses has to wait, for ``wait_s`` seconds. Exit code 4."""

    http_status = 429
    title = "too soon"

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class PurgedError(NotAllowedError):
    """It is about a version that was purged: nobody gives it, takes it or names it any more. Exit code 4."""


class ConflictError(AetherError):
    """Somebody else was first, or what is there would be lost. Exit code 5."""

    exit_code = 5
    http_status = 409
    title = "conflict"


class IntegrityError(AetherError):
    """Bytes are not what their signature says. Exit code 6."""

    exit_code = 6
    http_status = 422
    title = "integrity"


class RemoteProtocolError(IntegrityError):
    """Someone else sent what the protocol does not allow: refuse it, blame the sender, go on."""


class LocalProtocolError(AetherError):
    """We were about to break the protocol ourselves: a defect of ours."""


class UnreachableError(AetherError):
    """Nobody who could answer can be reached. Exit code 7."""

    exit_code = 7
    http_status = 503
    title = "unreachable"


class BusyError(UnreachableError):
    """As many are served as may be at a time: try again after ``wait_s`` seconds. Exit code 7."""

    title = "busy"

    def __init__(self, message: str, wait_s: float = 1.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class IncompleteError(AetherError):
    """Timed out, or only a part was done. Exit code 8."""

    exit_code = 8
    http_status = 504
    title = "timed out or partial"


class FullError(AetherError):
    """A disk, a quota or a limit of ours is full. Exit code 9."""

    exit_code = 9
    http_status = 507
    title = "disk or quota"
