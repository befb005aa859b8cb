"""The program ``aetherfs``: what a user types, and how it is answered.

    main        the commands by name, errors to exit codes            program    one invocation: flags, settings,
    output output      results, lists and errors on stdout and stderr        progress   bars and lines on stderr agent
    talks to the process of a home                        perform    agent or short-lived peer, whichever there is
    data, tags, enrol, running, about     the commands                roles      which parts make up a process demo/
    a swarm of processes, shown at work

Importing ``swarm.cli.main`` loads nothing heavy, so that ``--help`` is quick: every command imports what it needs
when it runs.
"""
