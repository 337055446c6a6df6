"""Labelled sets: what is in them and which answers are right."""
