"""Losses of the region proposal network: matching on every stage, then objectness, boxes and masks at points."""
