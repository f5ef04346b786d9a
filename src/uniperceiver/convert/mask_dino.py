"""Released Mask DINO weights as weights of our `ProposalNetwork` and `Backbone` (spec/mask_dino.md, section 10)."""

from __future__ import annotations

from uniperceiver.convert.key_rules import Rule

_PIXEL = r"sem_seg_head\.pixel_decoder\."
_ENCODER_LAYER = _PIXEL + r"transformer\.encoder\.layers\.(\d+)\."
_PREDICTOR = r"sem_seg_head\.predictor\."
_DECODER_LAYER = _PREDICTOR + r"decoder\.layers\.(\d+)\."
_LAST = r"(weight|bias)"

_DEFORMABLE = (
    ("sampling_offsets", "offsets"),
    ("attention_weights", "weights"),
    ("value_proj", "value"),
    ("output_proj", "out"),
)
_FEEDFORWARD = (("linear1", "layers.0"), ("linear2", "layers.1"))


def proposal_rules(levels: int) -> tuple[Rule, ...]:
    """Names in a release with so many encoder levels -> names in `ProposalNetwork`.

    The number of levels matters since the last input projection there is the extra one here.
    """
    encoder = (
        (_PIXEL + rf"input_proj\.{levels - 1}\.([01])\.{_LAST}", r"encoder.extra_projection.\1.\2"),
        (_PIXEL + rf"input_proj\.(\d+)\.([01])\.{_LAST}", r"encoder.projections.\1.\2.\3"),
        (_PIXEL + r"transformer\.level_embed", r"encoder.level_codes"),
        *(
            (_ENCODER_LAYER + rf"self_attn\.{a}\.{_LAST}", rf"encoder.layers.\1.attention.{b}.\2")
            for a, b in _DEFORMABLE
        ),
        *((_ENCODER_LAYER + rf"{a}\.{_LAST}", rf"encoder.layers.\1.feedforward.{b}.\2") for a, b in _FEEDFORWARD),
        (_ENCODER_LAYER + rf"norm1\.{_LAST}", r"encoder.layers.\1.attention_norm.\2"),
        (_ENCODER_LAYER + rf"norm2\.{_LAST}", r"encoder.layers.\1.feedforward_norm.\2"),
        (_PIXEL + r"adapter_1\.weight", r"mask_features.lateral.0.weight"),
        (_PIXEL + rf"adapter_1\.norm\.{_LAST}", r"mask_features.lateral.1.\1"),
        (_PIXEL + r"layer_1\.weight", r"mask_features.smooth.0.weight"),
        (_PIXEL + rf"layer_1\.norm\.{_LAST}", r"mask_features.smooth.1.\1"),
        (_PIXEL + rf"mask_features\.{_LAST}", r"mask_features.out.\1"),
    )
    decoder = (
        *(
            (_DECODER_LAYER + rf"cross_attn\.{a}\.{_LAST}", rf"decoder.layers.\1.cross_attention.{b}.\2")
            for a, b in _DEFORMABLE
        ),
        *((_DECODER_LAYER + rf"{a}\.{_LAST}", rf"decoder.layers.\1.feedforward.{b}.\2") for a, b in _FEEDFORWARD),
        (_DECODER_LAYER + rf"self_attn\.(in_proj_|out_proj\.){_LAST}", r"decoder.layers.\1.self_attention.\2\3"),
        (_DECODER_LAYER + rf"norm1\.{_LAST}", r"decoder.layers.\1.cross_attention_norm.\2"),
        (_DECODER_LAYER + rf"norm2\.{_LAST}", r"decoder.layers.\1.self_attention_norm.\2"),
        (_DECODER_LAYER + rf"norm3\.{_LAST}", r"decoder.layers.\1.feedforward_norm.\2"),
        (_PREDICTOR + rf"decoder\.ref_point_head\.layers\.(\d)\.{_LAST}", r"decoder.position.layers.\1.\2"),
    )
    heads = (
        (_PREDICTOR + rf"(?:decoder_norm|decoder\.norm)\.{_LAST}", r"heads.norm.\1"),
        (_PREDICTOR + rf"class_embed\.{_LAST}", r"heads.objectness.\1"),
        (_PREDICTOR + rf"mask_embed\.layers\.(\d)\.{_LAST}", r"heads.mask.layers.\1.\2"),
        (
            _PREDICTOR + rf"(?:_bbox_embed|(?:decoder\.)?bbox_embed\.\d+)\.layers\.(\d)\.{_LAST}",
            r"heads.box.layers.\1.\2",
        ),
        (_PREDICTOR + rf"enc_output\.{_LAST}", r"selection.project.\1"),
        (_PREDICTOR + rf"enc_output_norm\.{_LAST}", r"selection.norm.\1"),
        (_PREDICTOR + r"label_enc\.weight", r"denoising_labels.weight"),
        (r"criterion\.empty_weight", None),
    )
    return (*encoder, *decoder, *heads)
