"""HTTP as this swarm speaks it: TLS with both sides verified, names that are keys, declared routes, problem
documents.
"""
