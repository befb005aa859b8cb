"""Protocols over the object store, tried with every call of every process in any order, and broken off anywhere."""
