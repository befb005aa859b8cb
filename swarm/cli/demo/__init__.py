"""``aetherfs demo``: a swarm of separate processes on this machine, shown at work, checked, and cleaned up.

    command   the command and its summary       story    what happens, step by step
    cluster   the processes and their homes     trees    the data: copied, altered, compared byte for byte
    report    the table and the checks                  place    where all of it happens

It uses nothing but the program as a user types it; every figure comes from what the commands print.
"""
