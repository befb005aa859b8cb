"""Who a person or a service is: passwords, API tokens, sessions and the bearer tokens of OIDC issuers.

What is known of them lies in the object store, sealed with the CA key, and is changed on a tracker's home:

    swarm/users/{name}                       groups, and the hash of a password
    swarm/services/{id}                      an API token: whose, until when, the hash of its secret
    swarm/issuers/{name}                     an OIDC issuer: whose tokens count, and for which audience
    swarm/signedout/{hash of a subject}      from when on something issued to somebody counts again
    swarm/sessions/{expires}-{id}            a session that was ended before it expired

People of an issuer are named ``ISSUER/name``, and so are its groups: a name in a token never means a user here, or
one of another issuer.
"""
