"""Dictionaries on the Hugging Face hub: one folder of a repository each, read offline after."""

import difflib
import glob
from collections.abc import Sequence
from pathlib import Path

from connectome import dictionary_formats, hub
from connectome.errors import DataError, NotFetchedError, did_you_mean


def cached_dictionary(name: str, revision: str | None, folder: str, cache: Path | None) -> Path:
    """Folder of a hub repository with one dictionary, in the local cache. The network is not asked.

    folder: its path in the repository, "" for the repository itself.
    Raises NotFetchedError where it is not there.
    """
    from huggingface_hub import try_to_load_from_cache

    for file in _weights():
        path = _inside(folder, file)
        found = try_to_load_from_cache(name, path, cache_dir=cache, revision=revision)
        if isinstance(found, str):
            return Path(found).parent
    at = f" at revision {revision!r}" if revision else ""
    raise NotFetchedError(
        f"the dictionary in folder {folder!r} of hub model {name!r}{at} is not in the local cache; "
        "fetch it on a machine with a network (snakemake --cores 1 fetch)"
    )


def fetch_dictionary(
    name: str, revision: str | None, folder: str, cache: Path | None
) -> hub.Fetched:
    """Bring the files of one dictionary, in a folder of a hub repository, to the cache.

    Raises DataError in one sentence where the hub does not give it, and for a folder without a
    dictionary or with two.
    """

    def choose(files: Sequence[str]) -> list[str]:
        own = [Path(file).name for file in files if file == _inside(folder, Path(file).name)]
        if not own:
            folders = sorted({str(Path(f).parent) for f in files if Path(f).name in _weights()})
            shown = difflib.get_close_matches(folder, folders, 1) or folders[:20]
            hint = did_you_mean(folder, shown) if shown else "it has no dictionaries"
            raise DataError(f"hub model {name!r} has no folder {folder!r}; {hint}")
        layout = dictionary_formats.layout_of(own, f"folder {folder!r} of hub model {name!r}")
        return [glob.escape(_inside(folder, file)) for file in (*layout.WEIGHTS, *layout.FILES)]

    directory, commit = hub.fetch("model", name, revision, cache, choose, DataError)
    return hub.Fetched(directory / folder, commit)


def _weights() -> list[str]:
    return [file for layout in dictionary_formats.layouts().values() for file in layout.WEIGHTS]


def _inside(folder: str, file: str) -> str:
    """Path in a repository."""
    return "/".join([*filter(None, folder.split("/")), file])
