"""A bundle on the Hugging Face hub: its files, with the card as the page of the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from w2svqa.core.errors import ConfigError, StrPath, W2SVQAError
from w2svqa.core.extras import require
from w2svqa.core.files import atomic_write
from w2svqa.students.bundle import CARD, check_files, read_card
from w2svqa.students.model_card import README, model_card

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def write_model_card(folder: StrPath, *, license: str = "") -> Path:  # noqa: A002 (the hub's word)
    """Write a bundle's ``README.md`` anew from its card, and return it.

    Args:
        folder: of the bundle.
        license: of the bundle; the card's own if not given.

    Raises:
        BundleError: the folder is no bundle.
        StoreError: the file cannot be written.
    """
    place = Path(folder)
    text = model_card(read_card(place), license=license)
    with atomic_write(place / README) as file:
        file.write(text.encode("utf-8"))
    return place / README


def push_bundle(folder: StrPath, repository: str, *, private: bool = False) -> str:
    """Upload a bundle to a model repository, which is made if it is not there, and return the address of the commit.

    Only the files that the card lists, the card and the README go up, after their hashes are checked.

    Args:
        folder: of the bundle.
        repository: ``OWNER/NAME``.
        private: a repository that is made is private.

    Raises:
        BundleError: the folder is no bundle, or it is damaged.
        ConfigError: the repository's name is none.
        MissingExtraError: huggingface_hub is not installed.
        W2SVQAError: the hub cannot be reached, or refuses.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigError(f"{repository!r} is no repository on the hub", remedy="write OWNER/NAME")
    place = Path(folder)
    card = read_card(place)
    check_files(place, card)
    hub = require("huggingface_hub", extra="llm")
    errors = require("huggingface_hub.errors", extra="llm")
    if not (place / README).exists():
        write_model_card(place)
    try:
        api = hub.HfApi()
        api.create_repo(repository, repo_type="model", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            repo_type="model",
            folder_path=place,
            allow_patterns=[*card["files"], CARD, README],
            commit_message=f"w2svqa student {card.get('name')}",
        )
    except (errors.HfHubHTTPError, errors.HFValidationError, errors.LocalTokenNotFoundError, OSError) as error:
        raise W2SVQAError(
            f"{repository} was not written: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            remedy="check the name, the network, and the token: hf auth login",
        ) from None
    return str(commit.commit_url)
