"""Tests of the peer's pure cores."""
