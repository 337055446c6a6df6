"""Approximate search in one process: most of the nearest descriptors, in a fraction of the time of a scan."""
