"""The dictionaries that stand for what modules write, as files name them."""

from collections.abc import Iterable
from pathlib import Path

from connectome import dictionary_files
from connectome.dictionaries import Dictionary


def read(files: Iterable[Path]) -> dict[str, Dictionary]:
    """Dictionaries by site, from their files; each lies in a folder named after its site.

    Raises DataError for a folder that cannot be read.
    """
    folders = dict.fromkeys(path.parent for path in files)
    return {folder.name: dictionary_files.read(folder)[0] for folder in folders}
