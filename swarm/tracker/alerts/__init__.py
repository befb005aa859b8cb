"""Alerts: what is wrong with a swarm, decided by each tracker from one picture, and told to a webhook by one of them.

``picture`` is what rules look at, ``rules`` say what is wrong in it now, ``book`` for how long it has to be so, and
``notices`` what the webhook is still to be told. These are pure. ``watching`` draws the picture and keeps going,
``webhook`` sends, ``silences`` lie in the object store, so that all trackers know them.
"""
