"""Record what the official caption evaluation gives for the sentences in caption_scores.json.

Needs ``pip install pycocoevalcap`` and Java. The sentences stay as they are; tokens and scores are written anew.
"""

from __future__ import annotations

import json
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

FILE = Path(__file__).with_name("caption_scores.json")


def tokenise(rows: list[list[str]]) -> dict[int, list[str]]:
    return PTBTokenizer().tokenize({i: [{"caption": text} for text in row] for i, row in enumerate(rows)})


def official_scores(captions: list[str], references: list[list[str]]) -> dict[str, object]:
    found, truth = tokenise([[caption] for caption in captions]), tokenise(references)
    bleu, _ = Bleu(4).compute_score(truth, found, verbose=0)
    cider, per_image = Cider().compute_score(truth, found)
    return {
        "bleu": [float(value) for value in bleu],
        "rouge_l": float(Rouge().compute_score(truth, found)[0]),
        "cider_d": float(cider),
        "cider_d_per_image": [float(value) for value in per_image],
        "meteor": float(Meteor().compute_score(truth, found)[0]),
    }


if __name__ == "__main__":
    content = json.loads(FILE.read_text(encoding="utf-8"))
    for case in content["cases"]:
        case["scores"] = official_scores(case["captions"], case["references"])
    tokens = tokenise([[sentence] for sentence in content["sentences"]])
    content["tokens"] = [tokens[i][0] for i in range(len(content["sentences"]))]
    FILE.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
