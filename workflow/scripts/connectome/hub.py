"""The Hugging Face hub: fetched once, on a machine with a network; read from the local cache after.

Only `fetch`, `fetch_model` and `fetch_dataset` use the network, and only `fetch.py` asks for them.
Tokens of gated repositories are read from the environment by huggingface_hub itself (HF_TOKEN);
none is ever handed over here.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from connectome.checkpoint import PICKLES, SIDE_FILES
from connectome.errors import ConnectomeError, DataError, ModelError, NotFetchedError

_MODEL_FILES = ("config.json", "model.safetensors", "model.safetensors.index.json", *SIDE_FILES)
_SHARDS = "model-*.safetensors"
# formats that are read without running anything; README.md names the configurations of a data set
_DATASET_FILES = ("*.parquet", "*.json", "*.jsonl", "*.csv", "*.txt", "*.arrow", "*.md")
_TIMEOUT = 10.0  # seconds until a machine that does not answer counts as no network


class Fetched(NamedTuple):
    """A snapshot in the cache and the commit that it is."""

    directory: Path
    commit: str


def is_pinned(revision: str | None) -> bool:
    """Whether a revision is a whole commit hash, the only name that means the same for ever."""
    return re.fullmatch(r"[0-9a-f]{40}", revision or "") is not None


def cached_model(name: str, revision: str | None, cache: Path | None) -> Fetched:
    """Snapshot of a hub model in the local cache. The network is not asked.

    Raises NotFetchedError where it is not there.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", cache_dir=cache, revision=revision)
    if not isinstance(found, str):
        at = f" at revision {revision!r}" if revision else ""
        raise NotFetchedError(
            f"hub model {name!r}{at} is not in the local cache; fetch it on a machine with a "
            "network (snakemake --cores 1 fetch); `layers: N` beside `hub` allows a dry run without"
        )
    directory = Path(found).parent
    return Fetched(directory, directory.name)


def cached_dataset(name: str, revision: str | None, cache: Path | None) -> Path | None:
    """Snapshot of a hub data set in the local cache, None where it is not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name,
                repo_type="dataset",
                revision=revision,
                cache_dir=cache,
                allow_patterns=list(_DATASET_FILES),
                local_files_only=True,
            )
        )
    except LocalEntryNotFoundError:
        return None


def fetch_model(name: str, revision: str | None, cache: Path | None) -> Fetched:
    """Bring config, safetensors weights and tokenizer of a hub model to the cache.

    Pickles are never fetched. Raises ModelError in one sentence where the hub does not answer, does
    not know the model or does not show it, and where it has no safetensors weights.
    """

    def choose(files: Sequence[str]) -> list[str]:
        if not any(re.fullmatch(r"model(-.*)?\.safetensors", file) for file in files):
            pickles = [f for f in files if any(Path(f).match(pattern) for pattern in PICKLES)]
            only = f"only the pickle {pickles[0]}, which is never loaded" if pickles else "none"
            raise ModelError(
                f"hub model {name!r} has no safetensors weights ({only}); choose a revision or a "
                "copy of the model that has them"
            )
        return [*_MODEL_FILES, _SHARDS]

    return fetch("model", name, revision, cache, choose, ModelError)


def fetch_dataset(name: str, revision: str | None, cache: Path | None) -> Fetched:
    """Bring the data files of a hub data set to the cache. Raises DataError in one sentence."""

    def choose(files: Sequence[str]) -> list[str]:
        if not any(Path(f).match(kind) for f in files for kind in _DATASET_FILES[:-1]):
            raise DataError(
                f"hub dataset {name!r} holds no Parquet, JSON, CSV, text or Arrow files, and no "
                "others are read"
            )
        return list(_DATASET_FILES)

    return fetch("dataset", name, revision, cache, choose, DataError)


def fetch(
    kind: str,
    name: str,
    revision: str | None,
    cache: Path | None,
    choose: Callable[[Sequence[str]], list[str]],
    failure: type[ConnectomeError],
) -> Fetched:
    """Bring what `choose` picks of the files of a repository, as patterns, to the cache.

    kind: model or dataset; failure: the error that is raised, in one sentence.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    what = f"hub {kind} {name!r}"
    try:
        ask = HfApi().model_info if kind == "model" else HfApi().dataset_info
        info = ask(name, revision=revision, timeout=_TIMEOUT)
        patterns = choose([file.rfilename for file in info.siblings or []])
        directory = snapshot_download(
            name,
            repo_type=kind,
            # by name where there is one: the cache then knows which commit the name stands for
            revision=revision,
            cache_dir=cache,
            allow_patterns=patterns,
            etag_timeout=_TIMEOUT,
        )
    except OfflineModeIsEnabled:
        raise failure(f"{what}: HF_HUB_OFFLINE is set, so nothing is fetched; unset it") from None
    except GatedRepoError:
        hint = "its token was refused" if _has_token() else "set HF_TOKEN"
        raise failure(
            f"{what} is gated: ask for access on its page, then give a token that has it in the "
            f"environment ({hint})"
        ) from None
    except RepositoryNotFoundError:
        raise failure(
            f"{what} is not known to the hub, or private: check the id; a private one needs "
            "HF_TOKEN in the environment"
        ) from None
    except RevisionNotFoundError:
        raise failure(f"{what} has no revision {revision!r}") from None
    except HFValidationError:
        raise failure(f"{what}: that is no id of the hub; one reads owner/name") from None
    except ConnectomeError:
        raise
    except Exception as error:  # the network's come from libraries below, of many kinds
        if isinstance(error, OSError) and error.filename:
            raise failure(
                f"{what} cannot be stored: {error.filename}: {(error.strerror or '').lower()}"
            ) from None
        raise failure(
            f"{what} cannot be fetched: no answer from the hub ({type(error).__name__}); is there "
            "a network?"
        ) from None
    return Fetched(Path(directory), str(info.sha))


def _has_token() -> bool:
    return bool(os.environ.get("HF_TOKEN"))
