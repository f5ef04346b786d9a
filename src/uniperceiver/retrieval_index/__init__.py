"""An index of pictures that is searched with texts or pictures.

An index is a folder:

================================  ==================================================================================
index.json                        format, fingerprint and name of the model, width of the vectors
segments/000000.safetensors       vectors (n, D) float32 of unit length, and in its metadata what they are of
removed.json                      path → number of segments there were when its file was found gone
approximate-000003.faiss          optional: FAISS over the first three segments
================================  ==================================================================================

Files are written beside their place and renamed, and segments never change. So whoever is stopped at any moment leaves
a whole index, which lacks at most the pictures of the segment in work; building again goes on from there. Of a path
that occurs in several segments the last counts. One process writes at a time; any number read.
"""

from __future__ import annotations

from uniperceiver.retrieval_index.index import Changes, Hit, RetrievalIndex, pictures_below
from uniperceiver.retrieval_index.segments import RetrievalIndexError

__all__ = ["Changes", "Hit", "RetrievalIndex", "RetrievalIndexError", "pictures_below"]
