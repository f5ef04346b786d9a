"""Every configuration of the project: typed, documented, validated where it is made.

A YAML file holds the fields of `ModelConfig` or `TrainConfig`; unknown keys and wrong types are errors that name
the key.
"""

from __future__ import annotations

from uniperceiver.config.data import (
    CocoCaptionsConfig,
    CocoInstancesConfig,
    DatasetConfig,
    HuggingFaceConfig,
    ImageFolderConfig,
    ImageTextPairsConfig,
    KarpathyCaptionsConfig,
    PlainTextConfig,
    ScenesConfig,
    VisualGenomeConfig,
    VocConfig,
    VqaConfig,
    WebDatasetConfig,
    WebDatasetPairsConfig,
    YoloConfig,
)
from uniperceiver.config.decoder import LoraConfig, MoEConfig, PromptConfig, UnifiedDecoderConfig
from uniperceiver.config.fold import FoldConfig
from uniperceiver.config.model import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BackboneConfig,
    DenoisingConfig,
    ImageEncoderConfig,
    LinearHeadConfig,
    ModelConfig,
    PatchEncoderConfig,
    ProposalConfig,
    TemperatureGroup,
    TextEncoderConfig,
    WordEmbeddingConfig,
)
from uniperceiver.config.reading import (
    ConfigError,
    from_data,
    load_config,
    load_train_config,
    read_yaml,
    shipped,
    to_data,
)
from uniperceiver.config.task import (
    ImageSizeConfig,
    TaskConfig,
    TaskKind,
)
from uniperceiver.config.text_data import GlueConfig, GlueName, LabelledTextsConfig, TextPairsConfig
from uniperceiver.config.training import (
    OptimizerConfig,
    Parallel,
    ProposalLossConfig,
    Sampling,
    ScheduleConfig,
    StreamConfig,
    TrainConfig,
    TuneConfig,
    WeightAverageConfig,
)
from uniperceiver.config.video_data import (
    FrameSamplingConfig,
    VideoCaptionsConfig,
    VideoCsvConfig,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "BackboneConfig",
    "CocoCaptionsConfig",
    "CocoInstancesConfig",
    "ConfigError",
    "DatasetConfig",
    "DenoisingConfig",
    "FoldConfig",
    "FrameSamplingConfig",
    "GlueConfig",
    "GlueName",
    "HuggingFaceConfig",
    "ImageEncoderConfig",
    "ImageFolderConfig",
    "ImageSizeConfig",
    "ImageTextPairsConfig",
    "KarpathyCaptionsConfig",
    "LabelledTextsConfig",
    "LinearHeadConfig",
    "LoraConfig",
    "MoEConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Parallel",
    "PatchEncoderConfig",
    "PlainTextConfig",
    "PromptConfig",
    "ProposalConfig",
    "ProposalLossConfig",
    "Sampling",
    "ScenesConfig",
    "ScheduleConfig",
    "StreamConfig",
    "TaskConfig",
    "TaskKind",
    "TemperatureGroup",
    "TextEncoderConfig",
    "TextPairsConfig",
    "TrainConfig",
    "TuneConfig",
    "UnifiedDecoderConfig",
    "VideoCaptionsConfig",
    "VideoCsvConfig",
    "VisualGenomeConfig",
    "VocConfig",
    "VqaConfig",
    "WebDatasetConfig",
    "WebDatasetPairsConfig",
    "WeightAverageConfig",
    "WordEmbeddingConfig",
    "YoloConfig",
    "from_data",
    "load_config",
    "load_train_config",
    "read_yaml",
    "shipped",
    "to_data",
]
