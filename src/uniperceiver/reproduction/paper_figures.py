"""The figures of the paper's ablations, as it prints them: ResNet-50, 150,000 steps on 16 GPUs, no fine-tuning."""

from __future__ import annotations

PaperFigures = tuple[str, str, str, str, str]
"""COCO detection mAP, ImageNet-1k top-1, COCO retrieval R@1 image → text and text → image, COCO caption BLEU-4."""

TABLE_2: dict[str, PaperFigures] = {
    "Global": ("–", "76.8", "46.3", "34.6", "28.8"),
    "Regional": ("48.2", "75.9", "52.3", "39.2", "31.2"),
    "Global + Regional": ("49.9", "76.9", "51.3", "38.8", "30.6"),
}

# The gaps are the paper's too. Two of captioning are not the difference of its figures: +0.5 (30.4 - 28.9) and +0.7
# (30.6 - 28.9).
TABLE_3: dict[str, PaperFigures] = {
    "Single Task": ("50.1", "76.1", "50.0", "37.6", "30.2"),
    "All Tasks": ("49.8", "76.3", "46.0", "34.7", "28.9"),
    "w/o Detection": ("–", "76.6 (+0.3)", "47.0 (+1.0)", "34.6 (-0.1)", "30.4 (+0.5)"),
    "w/o Classification": ("50.1 (+0.3)", "–", "51.6 (+5.6)", "38.6 (+3.9)", "25.9 (-3.0)"),
    "w/o Retrieval": ("49.5 (-0.3)", "76.3 (+0.0)", "–", "–", "27.4 (-1.5)"),
    "w/o Captioning": ("49.7 (-0.1)", "76.3 (+0.0)", "51.2 (+5.2)", "38.3 (+3.6)", "–"),
    "All Tasks w/ MoE": ("49.9 (+0.1)", "76.9 (+0.6)", "51.3 (+5.3)", "38.8 (+4.1)", "30.6 (+0.7)"),
}

TABLE_4: dict[tuple[str, str, str], PaperFigures] = {
    ("mixed", "", ""): ("49.6", "76.7", "40.1", "31.9", "27.6"),
    ("unmixed", "", ""): ("49.2", "76.6", "39.8", "30.9", "27.5"),
    ("unmixed", "✓", ""): ("49.3", "76.8", "50.4", "37.3", "27.6"),
    ("unmixed", "✓", "✓"): ("49.9", "76.9", "51.3", "38.8", "30.6"),
}
"""Task sampling, Gather Feature, MT-AdamW optimizer → figures."""

TABLE_5: dict[tuple[str, str], PaperFigures] = {
    ("Supervised", "IN-1k"): ("45.7", "76.8", "51.2", "38.9", "27.3"),
    ("Supervised", "IN-21k"): ("48.3", "80.1", "55.1", "41.2", "30.2"),
    ("Supervised", "IN-1k & COCO"): ("49.9", "76.9", "51.3", "38.8", "30.6"),
    ("MoCo v2", "IN-1k"): ("48.3", "75.0", "54.8", "40.5", "29.6"),
    ("CLIP", "CLIP data"): ("47.2", "73.8", "55.3", "41.3", "32.0"),
}
"""Pretrained method, pretrained data → figures."""
