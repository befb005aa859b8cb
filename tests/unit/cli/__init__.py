"""The program's parts, without a swarm."""
