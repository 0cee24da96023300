"""Models built by hand, whose heads and circuits are known: methods are held against them.

Each build is a module of `builds`, found by name, with weights, text and prompt pairs of its own;
its prompts are the generator `known_NAME`. Adding a build is adding one file.
Standard library alone; the weights are made by `assembly`.
"""

import importlib
import pkgutil
import random
from functools import cache
from types import ModuleType
from typing import Any

from connectome import language
from connectome.errors import ConfigError
from connectome.known import builds, design

_PREFIX = "known_"


@cache
def _builds() -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(builds.__path__))
    return {name: importlib.import_module(f"{builds.__name__}.{name}") for name in names}


def names() -> list[str]:
    """Models that can be built."""
    return list(_builds())


def of_name(name: str) -> ModuleType:
    """The module of a build. Raises ConfigError for another name."""
    if name not in _builds():
        raise ConfigError(f"there is no built model {name!r}; known: {', '.join(names())}")
    return _builds()[name]


def generator(name: str) -> str:
    """The generator of the prompts of a build."""
    return _PREFIX + name


def family(generator: str) -> ModuleType | None:
    """The build behind a generator; None where it is one of the micro-language."""
    return _builds().get(generator.removeprefix(_PREFIX)) if generator.startswith(_PREFIX) else None


def corpus(name: str, seed: int, documents: int) -> list[str]:
    """Texts from the vocabulary of a build that exercise its heads."""
    rng = random.Random(f"known/{name}/{seed}")
    return [of_name(name).document(rng).text for _ in range(documents)]


def settings(name: str) -> dict[str, dict[str, Any]]:
    """config.json and generation_config.json of a build."""
    return {
        "config.json": design.config(of_name(name).design()),
        "generation_config.json": design.generation_config(),
    }


def expected_places(name: str, prompt: str) -> dict[str, tuple[int, int]]:
    """Known head -> position that it looks from and position that it looks to, in a prompt.

    Positions count the start token, which opens every prompt of a built model.
    """
    words = [piece.strip() for piece in language.split(prompt)]
    places = of_name(name).attends(words)
    return {head: (query + 1, key + 1) for head, (query, key) in places.items()}


def record(name: str) -> dict[str, Any]:
    """What is known of a build: content of known.json."""
    build = of_name(name)
    return {
        "build": name,
        "generator": generator(name),
        "heads": [
            {"head": head, "role": role, "attends": build.ATTENDS[head]}
            for head, role in build.ROLES.items()
        ],
        "edges": list(build.EDGES),
    }
