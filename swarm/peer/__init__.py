"""A peer: it holds blocks, gives them, and gets the ones it lacks.

The decisions (scheduler, picker, neighbour, redirect) are pure; the shells around them are named for their effect.
"""
