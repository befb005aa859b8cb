"""Recorded histories of racing clients, and whether some order of single steps explains them. Pure, but for recording.

``history`` is what was asked and answered, ``search`` looks for an order, ``log_model`` says what a dataset's log does
in one step, ``checks`` puts them together with what else has to hold.
"""
