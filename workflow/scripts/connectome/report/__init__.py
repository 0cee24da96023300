"""The report: one offline page made from tables and figures, and from nothing else.

A section is a module of `sections` with RANK and TITLE, `inputs(plan)`, the files below the results
folder that it reads, and `context(results, plan)`, what its template fragment of the same name
needs. NEEDED, where there is one, names the tables without which it says nothing at all; else these
are all that it reads. The package imports nothing outside the standard library; Jinja2 is loaded
when a page is built.

`plan` is what the configuration asks for: {"models": {name: facts}, "native": name of the native
dictionary, "report": the section of the config}. Facts of a model are `trained`, `tasks`,
`dictionaries` (name: its `sites` and `tasks`, of those that are mapped) and `judged` (names of all
that are made of features).
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from connectome.report import sections as _sections


def sections() -> list[ModuleType]:
    """Modules of all sections in the order of the page."""
    names = [found.name for found in pkgutil.iter_modules(_sections.__path__)]
    modules = [importlib.import_module(f"{_sections.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: (module.RANK, module.__name__))


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files below the results folder that the page reads, each once."""
    return list(dict.fromkeys(path for section in sections() for path in section.inputs(plan)))
