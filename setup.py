"""The one part of the build that pyproject.toml cannot say: an optional C library (everything else is there)."""

from __future__ import annotations

import sys

from setuptools import Extension, setup

LAYERS = "src/uniperceiver/model/layers"

# Apple's clang has no OpenMP: there the kernel runs on one thread. Without any compiler `optional` leaves it out.
threads = ["-fopenmp"] if sys.platform == "linux" else []

setup(
    ext_modules=[
        Extension(
            "uniperceiver.model.layers._deformable_attention_kernel",
            sources=[f"{LAYERS}/deformable_attention_kernel.c"],
            depends=[f"{LAYERS}/deformable_attention_lanes.h"],
            # A trapping division or errno would forbid vectors; NaN and infinity keep their meaning.
            extra_compile_args=["-O3", "-fno-math-errno", "-fno-trapping-math", *threads],
            extra_link_args=threads,
            optional=True,
        )
    ]
)
