"""The dashboard in a real Chromium, on a live swarm of processes."""
