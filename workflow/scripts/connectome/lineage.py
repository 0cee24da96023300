"""Models of one training run: which checkpoint belongs to which model, and in what order.

Standard library alone: it runs whenever the workflow is parsed.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from connectome.errors import did_you_mean

Config = Mapping[str, Any]


def taken_models(config: Config) -> list[str]:
    """Names of the models that are checkpoints of a model trained here."""
    return [name for name, source in config["models"].items() if "checkpoint" in source]


def origin_of(config: Config, model: str) -> str:
    """The trained model that a checkpoint belongs to; any other model itself."""
    source = config["models"][model]
    return str(source["checkpoint"]["of"]) if "checkpoint" in source else model


def has_origin(config: Config, model: str) -> bool:
    """Whether the model that a checkpoint belongs to is trained by this configuration."""
    return "train" in config["models"].get(origin_of(config, model), {})


def step_of(config: Config, model: str) -> int | None:
    """Training steps behind the weights of a model, None where it was not trained here."""
    source = config["models"][model]
    if "checkpoint" in source:
        return int(source["checkpoint"]["step"])
    if "train" in source:
        return int({**config["training"], **source["train"]}["steps"])
    return None


def series(config: Config, tasks: Mapping[str, list[str]]) -> list[str]:
    """Models that share a task with another, those of one training run in the order of their steps.

    tasks: those of each model. Runs, and other models, come in the order of the configuration.
    """
    place = {name: i for i, name in enumerate(config["models"])}
    kept = [
        name
        for name in place
        if any(other != name and set(tasks[name]) & set(tasks[other]) for other in place)
    ]
    return sorted(
        kept, key=lambda name: (place[origin_of(config, name)], step_of(config, name) or 0)
    )


def pairs(config: Config, tasks: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Pairs of compared models that share a task, the earlier first."""
    return [
        (left, right)
        for left, right in combinations(series(config, tasks), 2)
        if set(tasks[left]) & set(tasks[right])
    ]


def described(config: Config, models: list[str]) -> list[dict[str, Any]]:
    """Each of these models with the model it belongs to and its training step."""
    return [
        {"model": name, "origin": origin_of(config, name), "step": step_of(config, name)}
        for name in models
    ]


def relation(config: Config, models: list[str], left: str, right: str) -> dict[str, Any]:
    """What two of the compared models are to each other: of one run, next to each other."""
    return {
        "left": left,
        "right": right,
        "same_run": origin_of(config, left) == origin_of(config, right),
        "next": models.index(right) == models.index(left) + 1,
    }


def faults(config: Config) -> Iterator[str]:
    """What is wrong with the checkpoints among the models; one sentence each."""
    models, steps = config["models"], config["training"]["checkpoints"]
    trained = [name for name, source in models.items() if "train" in source]
    for name in taken_models(config):
        of, step = models[name]["checkpoint"]["of"], models[name]["checkpoint"]["step"]
        place = f"models.{name}.checkpoint"
        if of not in trained:
            hint = did_you_mean(of, trained) if trained else "this configuration trains none"
            yield f"{place}.of: {of!r} is no model trained here; {hint}"
        elif step not in steps:
            final = step == step_of(config, of)
            hint = f"those are the final weights: name {of!r} itself" if final else _kept(steps)
            yield f"{place}.step: no weights of {of!r} are kept at step {step}; {hint}"


def _kept(steps: list[int]) -> str:
    listed = ", ".join(map(str, steps)) or "none"
    return f"training.checkpoints keeps {listed}; add the step there"
