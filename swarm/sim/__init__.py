"""A swarm in virtual time: the real scheduler, upload queue, redirects, telling, handout and gossip on simulated links.

The same seed gives the same run, to the last event.
"""
