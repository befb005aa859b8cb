"""The installed program, as a user types it: separate processes, separate homes, nothing but its commands."""
