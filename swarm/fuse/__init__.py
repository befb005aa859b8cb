"""``aetherfs mount``: a version as a directory of the kernel, read-only, through its FUSE protocol."""
