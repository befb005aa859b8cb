"""The tracker: joins and certificates, the log of every dataset, announces and handouts.

It is stateless over the object store, which holds everything that lasts: any number of trackers can run over one store,
and one that is started again knows what the last one knew. What it keeps in memory (who is where, and holds what) comes
back with the next announces.
"""
