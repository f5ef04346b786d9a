"""The model behind HTTP: one endpoint for each verb, and a page that asks them."""

from __future__ import annotations
