"""Where a model comes from: a folder, the package, the Hugging Face hub; and how it gets to the hub."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from uniperceiver.checkpoint import Checkpoint, CheckpointError, save_checkpoint

PACKAGED = Path(__file__).parents[1] / "checkpoints"
"""Folder of the checkpoints that come with the package."""
PUBLISHED_FILES = ("model.safetensors", "config.yaml", "tokenizer.json", "tasks.yaml", "left_out.json", "README.md")
"""What of a checkpoint is published: all but the state of training; and the model card."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def find_checkpoint(name: str | Path, revision: str | None = None) -> Path:
    """The checkpoint folder of a name.

    ``name`` is, in this order: a local checkpoint, or the folder of a training, which has it in ``checkpoint``; the
    name of a packaged checkpoint, such as ``nano``; ``owner/name`` on the Hugging Face hub, downloaded once and kept in
    its cache. ``packaged:nano`` and ``hf-hub:owner/name`` are never taken for a folder. ``revision`` is a branch, tag
    or commit on the hub.

    Raises:
        CheckpointError: nothing of that name; the message says where it was looked for.
    """
    text = str(name)
    folder = Path(name).expanduser()
    packaged_folder = PACKAGED / text.removeprefix("packaged:")
    is_packaged = (packaged_folder / "config.yaml").is_file()
    if (local := local_checkpoint(folder)) is not None:
        return local
    if folder.is_dir() and not is_packaged:
        return folder  # whoever reads it says what it lacks
    if is_packaged:
        return packaged_folder
    hub_name = text.removeprefix("hf-hub:")
    if _HUB_NAME.fullmatch(hub_name):
        return _download(hub_name, revision)
    packaged = sorted(path.parent.name for path in PACKAGED.glob("*/config.yaml"))
    raise CheckpointError(
        f"no model {text}: there is no such folder, it is not one of the checkpoints that come with the package "
        f"({', '.join(packaged) or 'there are none in this installation'}), and a model of the Hugging Face hub is "
        "written owner/name. Train one with `uniperceiver train` or `demo` and give its folder"
    )


def local_checkpoint(folder: Path) -> Path | None:
    """A folder that is a checkpoint, or the one inside the folder of a training; None: neither."""
    if (folder / "config.yaml").is_file():
        return folder
    return folder / "checkpoint" if (folder / "checkpoint").is_dir() else None


def push_checkpoint(checkpoint: Checkpoint, repository: str, private: bool, card: str) -> str:
    """Publish a checkpoint as ``owner/name`` on the hub; the address of the commit.

    Raises:
        CheckpointError: the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    published = replace(checkpoint, training=None, state=None)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "checkpoint"
        save_checkpoint(published, folder)
        (folder / "README.md").write_text(card, encoding="utf-8")
        try:
            api = HfApi()
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message="Upload a uniperceiver checkpoint"
            )
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise CheckpointError(f"{repository} could not be published: {error}") from error
    return str(commit.commit_url)


def model_card(checkpoint: Checkpoint, repository: str) -> str:
    """A minimal model card: what the model is, what it was trained for, how to use it."""
    kinds = ", ".join(sorted({task.config.kind.replace("_", " ") for task in checkpoint.tasks.values()}))
    return (
        "---\nlibrary_name: uniperceiver\n---\n\n"
        f"# {repository}\n\nA [uniperceiver](https://arxiv.org/abs/2211.09808) checkpoint, trained for {kinds}.\n\n"
        "```python\nfrom uniperceiver import Predictor\n\n"
        f'predictor = Predictor.from_pretrained("{repository}")\n```\n'
    )


def _download(repository: str, revision: str | None) -> Path:
    # imported here: it takes a noticeable part of a second, and local folders do without it
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=list(PUBLISHED_FILES)))
    except (LocalEntryNotFoundError, OSError, HFValidationError, HfHubHTTPError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"no model {repository}: there is no such folder here, and the Hugging Face hub did not give it ({reason})"
        ) from error
    if not (folder / "config.yaml").is_file():
        raise CheckpointError(f"{repository} on the Hugging Face hub is not a uniperceiver checkpoint: no config.yaml")
    return folder
