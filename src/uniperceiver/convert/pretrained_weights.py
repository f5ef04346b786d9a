"""The trained encoders a configuration names, loaded into a fresh model."""

from __future__ import annotations

from uniperceiver.convert.bert import load_text_encoder_weights
from uniperceiver.convert.timm_backbone import load_backbone
from uniperceiver.load_report import LoadReport
from uniperceiver.model.image_encoder import ImageEncoder
from uniperceiver.model.text_encoder import TextEncoder
from uniperceiver.model.uni_perceiver import UniPerceiver


def load_pretrained(model: UniPerceiver) -> dict[str, LoadReport]:
    """Fill the backbone and the language model from ``image.backbone.pretrained`` and ``text.pretrained``.

    Gives what became of the tensors, by source. What has no source (None; all of v1) keeps its random weights; all else
    of the model always does.

    Raises:
        PretrainedFileError: a source cannot be found, or its package is not installed.
        ValueError: a source holds weights of another network (`TextWeightsError` for the language model).
    """
    reports: dict[str, LoadReport] = {}
    if isinstance(model.f_image, ImageEncoder):
        backbone = model.f_image.config.backbone
        if backbone.pretrained is not None:
            reports[f"backbone from {backbone.pretrained}"] = load_backbone(
                model.f_image.backbone, backbone.name, backbone.pretrained
            )
    if isinstance(model.f_text, TextEncoder) and model.f_text.config.pretrained is not None:
        source = model.f_text.config.pretrained
        reports[f"language model from {source}"] = load_text_encoder_weights(model.f_text, source)
    return reports
