"""What a tracker makes of the reports of peers: the picture of the swarm (pure), and the shells around it.

picture    everything, composed: reports, moves of tags and time in; figures and what is to be looked up out
peers rollouts flow rings happenings turns    its parts          reasons verdicts    their words
views details copies                    what routes tell of it
serve stream relay keeping              routes, the stream of a tab, other trackers, logs of rollouts in the store
"""
