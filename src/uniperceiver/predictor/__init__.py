"""Using a model: pictures and strings in, typed results out."""

from __future__ import annotations

from uniperceiver.predictor.encoded_picture import EncodedPicture
from uniperceiver.predictor.model_folders import find_checkpoint
from uniperceiver.predictor.pictures import Picture
from uniperceiver.predictor.predictor import Predictor

__all__ = ["EncodedPicture", "Picture", "Predictor", "find_checkpoint"]
