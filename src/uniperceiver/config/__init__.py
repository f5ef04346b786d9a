"""Every configuration of the project: typed, documented, validated where it is made.

A YAML file holds the fields of `ModelConfig` or `TrainConfig`; unknown keys and wrong types are errors that name
the key.
"""

from __future__ import annotations

from uniperceiver.config.data import (
    CocoInstancesConfig,
    DatasetConfig,
    FoldConfig,
    ImageFolderConfig,
    KarpathyCaptionsConfig,
    PlainTextConfig,
    ScenesConfig,
    VqaConfig,
    WebDatasetConfig,
)
from uniperceiver.config.model import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    BackboneConfig,
    DenoisingConfig,
    ImageEncoderConfig,
    ModelConfig,
    MoEConfig,
    ProposalConfig,
    TextEncoderConfig,
    UnifiedDecoderConfig,
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
from uniperceiver.config.training import (
    OptimizerConfig,
    ProposalLossConfig,
    Sampling,
    ScheduleConfig,
    StreamConfig,
    TrainConfig,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "BackboneConfig",
    "CocoInstancesConfig",
    "ConfigError",
    "DatasetConfig",
    "DenoisingConfig",
    "FoldConfig",
    "ImageEncoderConfig",
    "ImageFolderConfig",
    "ImageSizeConfig",
    "KarpathyCaptionsConfig",
    "MoEConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PlainTextConfig",
    "ProposalConfig",
    "ProposalLossConfig",
    "Sampling",
    "ScenesConfig",
    "ScheduleConfig",
    "StreamConfig",
    "TaskConfig",
    "TaskKind",
    "TextEncoderConfig",
    "TrainConfig",
    "UnifiedDecoderConfig",
    "VqaConfig",
    "WebDatasetConfig",
    "from_data",
    "load_config",
    "load_train_config",
    "read_yaml",
    "shipped",
    "to_data",
]
