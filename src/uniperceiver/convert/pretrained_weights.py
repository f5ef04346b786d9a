"""The trained encoders a configuration names, loaded into a fresh model."""

from __future__ import annotations

from uniperceiver.convert.bert import load_text_encoder_weights
from uniperceiver.convert.timm_backbone import load_backbone
from uniperceiver.model.uni_perceiver import UniPerceiver


def load_pretrained(model: UniPerceiver) -> None:
    """Fill the backbone and the language model from ``image.backbone.pretrained`` and ``text.pretrained``.

    What has no source (None) keeps its random weights; everything else of the model always does.

    Raises:
        PretrainedFileError: a source cannot be found, or its package is not installed.
        ValueError: a source holds weights of another network (`TextWeightsError` for the language model).
    """
    backbone, text = model.config.image.backbone, model.config.text
    if backbone.pretrained is not None:
        load_backbone(model.f_image.backbone, backbone.name, backbone.pretrained)
    if text.pretrained is not None:
        load_text_encoder_weights(model.f_text, text.pretrained)
