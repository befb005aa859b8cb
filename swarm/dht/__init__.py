"""The DHT: who holds what, without a tracker. A hint, never an authority.

Kademlia on the routing table of the ``kademlia`` package; transport, messages, records and lookups are ours, since
stock it keeps one forgeable value per key for ever and waits five seconds on each dead node.
"""
