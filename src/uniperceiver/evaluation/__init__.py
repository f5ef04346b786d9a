"""Metrics of predictions, and the evaluation that runs a model over a data set."""
