"""Trunks: the convolutional networks and transformers under a descriptor, by name."""
