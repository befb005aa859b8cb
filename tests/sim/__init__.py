"""The simulated swarm: many seeds, checkers, and that the checkers see what is broken."""
