"""Parts of a model as files for other runtimes."""

from __future__ import annotations
