"""Weights of other projects as weights of this one: explicit tables of names, and errors for what does not fit."""
