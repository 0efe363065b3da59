"""Layers that ship with kerasbridge, registered as "kerasbridge>Name"."""
