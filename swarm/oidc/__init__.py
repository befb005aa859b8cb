"""OpenID Connect as both sides need it: an issuer's description and keys, what its tokens say, and how one signs in."""
