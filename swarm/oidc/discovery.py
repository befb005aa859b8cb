"""What an issuer says of itself: OpenID Connect Discovery 1.0."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from swarm.errors import RemoteProtocolError
from swarm.oidc.fetch import check_told_url, get_object

PATH: Final = "/.well-known/openid-configuration"

Endpoint = Annotated[str, msgspec.Meta(max_length=1024)]


class Metadata(msgspec.Struct, frozen=True):
    """As much of it as is used here. An empty endpoint: the issuer has none."""

    issuer: str
    jwks_uri: Endpoint
    authorization_endpoint: Endpoint = ""
    token_endpoint: Endpoint = ""
    device_authorization_endpoint: Endpoint = ""
    revocation_endpoint: Endpoint = ""
    # Whether every answer to a browser names the issuer (RFC 9207).
    authorization_response_iss_parameter_supported: bool = False


async def discover(issuer: str, ca: str) -> Metadata:
    """Ask an issuer. UnreachableError, and RemoteProtocolError for what is not about this issuer."""
    url = issuer.rstrip("/") + PATH
    try:
        found = msgspec.convert(await get_object(url, ca), Metadata)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(f"{url} does not describe an OIDC issuer: {error}") from error
    if found.issuer != issuer:
        raise RemoteProtocolError(f"{url} describes the issuer {found.issuer[:120]!r}: give its URL as it says it")
    for endpoint in (
        found.jwks_uri,
        found.authorization_endpoint,
        found.token_endpoint,
        found.device_authorization_endpoint,
        found.revocation_endpoint,
    ):
        if endpoint:
            check_told_url(endpoint, issuer)
    return found
