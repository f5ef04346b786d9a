"""Layers that more than one module of the network is built from."""
