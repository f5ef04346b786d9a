"""Uni-Perceiver v2: one model, one set of weights, every pillar task of vision and language."""
