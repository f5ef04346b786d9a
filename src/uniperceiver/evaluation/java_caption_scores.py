"""METEOR and SPICE by pycocoevalcap, which runs their authors' Java programs. There is no substitute for them here."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from uniperceiver.evaluation.ptb_tokenizer import tokenize_lines

JavaMetric = Literal["meteor", "spice"]
_CLASS_OF = {"meteor": "Meteor", "spice": "Spice"}
_CORENLP = "stanford-corenlp-3.6.0.jar"


def java_caption_score(metric: JavaMetric, captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """METEOR 1.5 (Denkowski and Lavie, 2014) or SPICE (Anderson et al., 2016) of captions, in [0, 1].

    Captions are tokenised as for the other metrics; see `tokenize_lines` for what the order does.

    Raises:
        ModuleNotFoundError: pycocoevalcap is not installed.
        FileNotFoundError: no Java, or for SPICE no Stanford CoreNLP.
    """
    module = _load(metric)
    flat = iter(tokenize_lines([reference for row in references for reference in row]))
    truth = {number: [" ".join(next(flat)) for _ in row] for number, row in enumerate(references)}
    found = {number: [" ".join(words)] for number, words in enumerate(tokenize_lines(captions))}
    score, _ = _scorer(module, metric).compute_score(truth, found)
    return float(score)


def _load(metric: JavaMetric) -> ModuleType:
    name = metric.upper()
    if importlib.util.find_spec("pycocoevalcap") is None:
        raise ModuleNotFoundError(f"{name} needs pycocoevalcap: pip install 'uniperceiver[caption]'")
    if shutil.which("java") is None:
        raise FileNotFoundError(f"{name} is a Java program, and there is no `java` on the path: install a Java runtime")
    module = importlib.import_module(f"pycocoevalcap.{metric}.{metric}")
    # The package would fetch it in the middle of an evaluation, without a word.
    if metric == "spice" and not (Path(str(module.__file__)).parent / "lib" / _CORENLP).is_file():
        raise FileNotFoundError(
            "SPICE needs Stanford CoreNLP 3.6.0, which pycocoevalcap does not contain. Fetch it once: "
            'python -c "from pycocoevalcap.spice.get_stanford_models import get_stanford_models; get_stanford_models()"'
        )
    return module


def _scorer(module: ModuleType, metric: JavaMetric) -> Any:
    return vars(module)[_CLASS_OF[metric]]()
