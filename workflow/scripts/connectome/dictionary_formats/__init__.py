"""Layouts in which others keep dictionaries: one module each, found by the files of a folder.

A module offers `NAME`, `WEIGHTS` (names of the file with the tensors; one of them in a folder tells
the layout), `FILES` (what may lie beside it and is fetched with it), `OPTIONS` (what the
configuration may have to say of such a folder, since its files do not) and `plan(folder, options)`,
which reads the settings alone. It needs nothing beyond the standard library, since fetching asks it
for file names; tensors are read, checked and widened by `dictionary_files`. Every key that changes
the arithmetic is followed or refused. Adding a layout is adding one file.
"""

import importlib
import json
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from connectome.errors import DataError
from connectome.tensor_headers import shapes_of

Shapes = Mapping[str, tuple[str, ...] | None]  # by name of sizes; None: any


@dataclass(frozen=True)
class Plan:
    """What the tensors of a folder must be and how they become a `dictionaries.Dictionary`.

    Shapes are written in names of sizes, as in ("d_in", "d_sae"), and checked against each other
    and against `sizes`, those that the settings say.
    """

    architecture: str  # as a page prints it, with the key that it follows from where not plain
    shapes: Shapes
    # tensors -> fields of the dictionary; `notes` among them: what a page says of the reading
    build: Callable[[Mapping[str, Any]], dict[str, Any]]
    sizes: Mapping[str, int] = field(default_factory=dict)
    optional: Collection[str] = ()  # names of `shapes` that may be left out
    whole: Collection[str] = ()  # names of `shapes` that hold whole numbers, no weights
    hints: Mapping[str, str] = field(default_factory=dict)  # what an unknown tensor gives away
    rescaled: bool = False  # topk chooses among h |decoder row|, and shows features in that scale
    any_case: bool = False  # tensors are stored under their names in any case
    origin: Mapping[str, Any] = field(default_factory=dict)  # what the settings say of the rest

    def name_of(self, stored: str) -> str:
        """Name among `shapes` of a tensor by the name under which it is stored."""
        return stored.lower() if self.any_case else stored


@cache
def layouts() -> dict[str, ModuleType]:
    """Every layout, by the name of its module."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def layout_of(files: Collection[str], place: str) -> ModuleType:
    """The layout of a folder with these files.

    Raises DataError where there is none, or more than one; `place` is what it calls the folder.
    """
    found = {
        name: module for module in layouts().values() for name in module.WEIGHTS if name in files
    }
    if len(found) == 1:
        return next(iter(found.values()))
    seen = ", ".join(sorted(files)) or "none"
    if found:
        raise DataError(
            f"{place} holds more than one dictionary ({' and '.join(sorted(found))}), and which is "
            f"meant cannot be told; files seen: {seen}"
        )
    known = ", ".join(name for module in layouts().values() for name in module.WEIGHTS)
    raise DataError(f"{place} holds no dictionary; files seen: {seen}; looked for: {known}")


def files_in(folder: Path) -> list[str]:
    """Names of the files of a folder. Raises DataError where it is none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; a dictionary lies in one of its own")
    return [path.name for path in folder.iterdir()]


def check_options(layout: ModuleType, options: Mapping[str, bool], place: str) -> None:
    """Raise DataError for an option that says nothing about such a folder."""
    for name in options:
        if name not in layout.OPTIONS:
            known = ", ".join(layout.OPTIONS) or "none"
            raise DataError(
                f"{place}: {name} cannot be said of a folder of {layout.NAME}; options there: "
                f"{known}"
            )


def plan_of(layout: ModuleType, folder: Path, options: Mapping[str, bool]) -> tuple[Plan, Path]:
    """How a folder is read, and its file of tensors. Raises DataError for what is not handled."""
    check_options(layout, options, str(folder))
    path = next(folder / name for name in layout.WEIGHTS if (folder / name).exists())
    return layout.plan(folder, options), path


def check_folder(folder: Path, options: Mapping[str, bool], site: str, width: int | None) -> None:
    """Raise DataError where a folder cannot be read, as far as that shows without its numbers.

    Checked: layout, settings, and of safetensors names, shapes and length. `width` is that of the
    model's stream, which every site has; None where it is not known.
    """
    plan, path = plan_of(layout_of(files_in(folder), str(folder)), folder, options)
    shapes = shapes_of(path)
    sizes = plan.sizes if shapes is None else check_shapes(path, plan, shapes)
    for name in ("d_in", "d_out"):
        if width is not None and sizes.get(name, width) != width:
            raise DataError(
                f"{path}: {name} is {sizes[name]}, but {site} of the model has {width} channels; "
                "the dictionary is of another model or site"
            )


def check_shapes(path: Path, plan: Plan, stored: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Sizes by name, of tensors whose names and shapes are what the plan asks for, else DataError.

    stored: shapes by the names in the file.
    """
    found = {plan.name_of(name): shape for name, shape in stored.items()}
    unknown = sorted(set(found) - set(plan.shapes))
    missing = sorted(set(plan.shapes) - set(found) - set(plan.optional))
    for name in unknown:
        if name in plan.hints:
            raise DataError(f"{path}: tensor {name!r} is not handled; {plan.hints[name]}")
    if missing or unknown or len(found) < len(stored):
        raise DataError(
            f"{path}: {plan.architecture} needs the tensors "
            f"{_listed(set(plan.shapes) - set(plan.optional))}"
            + (f" (optional: {_listed(plan.optional)})" if plan.optional else "")
            + f", and no others; the file has {_listed(stored)}"
        )
    sizes = dict(plan.sizes)
    for name, shape in plan.shapes.items():
        if name in found and shape is not None:
            _check_shape(path, name, found[name], shape, sizes)
    return sizes


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _check_shape(
    path: Path,
    name: str,
    found: tuple[int, ...],
    shape: tuple[str, ...],
    sizes: dict[str, int],
) -> None:
    """Raise DataError for a shape that differs; a size that is not known yet is taken from it."""
    if len(found) == len(shape):
        for size, length in zip(shape, found, strict=True):
            sizes.setdefault(size, length)
    right = tuple(sizes.get(size, 0) for size in shape)
    if found != right or 0 in found:
        words = ", ".join(f"{size} = {sizes[size]}" for size in shape if size in sizes)
        raise DataError(
            f"{path}: tensor {name!r} has shape {list(found)}, where ({', '.join(shape)}) is "
            f"right; settings and other tensors say {words or 'nothing of these'}"
        )


class Settings:
    """A JSON object, whose values are checked as they are asked for."""

    def __init__(self, path: Path, values: Mapping[str, Any], place: str = "") -> None:
        self.path, self._values, self._place = path, values, place

    def has(self, key: str) -> bool:
        """Whether a key is there with a value other than null."""
        return self._values.get(key) is not None

    def get(self, key: str) -> Any:
        """The value as it is, None where the key is absent."""
        return self._values.get(key)

    def refuse(self, key: str, accepted: str) -> DataError:
        """The error for a key whose value is not right."""
        found = repr(self._values[key]) if key in self._values else "missing"
        return DataError(f"{self.path}: {self._place}{key} is {found}; handled: {accepted}")

    def choice(self, key: str, accepted: Collection[str], default: str | None = None) -> str:
        """One of the accepted words; `default` where the key is absent or null."""
        value = self._values[key] if self.has(key) else default
        if not isinstance(value, str) or value not in accepted:
            raise self.refuse(key, ", ".join(map(repr, accepted)))
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._values[key] if self.has(key) else default
        if not isinstance(value, bool):
            raise self.refuse(key, "true, false")
        return value

    def number(self, key: str) -> int:
        """A whole number of at least 1."""
        value = self._values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.refuse(key, "a whole number of at least 1")
        return value

    def numbers(self, *keys: str) -> dict[str, int]:
        """Those of the keys that are there."""
        return {key: self.number(key) for key in keys if self.has(key)}

    def neutral(self, key: str, accepted: Sequence[Any], reason: str) -> None:
        """Refuse a key that changes the arithmetic unless it has a value that does not."""
        value = self._values.get(key)
        if value is not None and value not in accepted:
            handled = ", ".join(map(repr, accepted)) or "null"
            raise DataError(
                f"{self.path}: {self._place}{key} is {value!r}, {reason}; handled: {handled}"
            )

    def part(self, key: str) -> "Settings":
        """A nested object, empty where the key is absent."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self.refuse(key, "an object")
        return Settings(self.path, value or {}, f"{self._place}{key}.")

    def said(self, keys: Mapping[str, str]) -> dict[str, Any]:
        """Those of the keys that are there, {name in `keys`: value}."""
        return {name: self._values[key] for key, name in keys.items() if self.has(key)}


def settings(path: Path) -> Settings:
    """Settings of a JSON file. Raises DataError where it is missing or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; the tensors beside it can be read in two ways"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: it holds no JSON object")
    return Settings(path, values)


def refuse_scaling(tensors: Mapping[str, Any], path: Path) -> None:
    """Raise DataError for a scaling factor of features that does something."""
    if "scaling_factor" in tensors and not (tensors["scaling_factor"] == 1).all():
        raise DataError(
            f"{path}: scaling_factor is not 1 everywhere: a fine-tuning rescaled the features, "
            "which is not handled; handled: all ones"
        )
