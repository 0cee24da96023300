"""Model and tasks: what the model is and what it can do."""

from collections.abc import Mapping
from typing import Any

RANK = 10
TITLE = "Model and tasks"


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    tables = ["models", "training", "competence", "prompts", "summary"]
    drawn = [f"competence.{model}" for model in plan["models"]]
    drawn += [f"training.{model}" for model, facts in plan["models"].items() if facts["trained"]]
    return [f"tables/{name}.csv" for name in tables] + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Per model its facts, its held-out competence and example prompts."""
    competence, prompts = results.table("competence"), results.table("prompts")
    results.table("training")
    found = [
        {
            "model": model,
            "of_model": results.summary(model["model"]),
            "trained": plan["models"].get(model["model"], {}).get("trained", False),
            "competence": competence.where(model=model["model"], split="heldout"),
            "starters": [
                row
                for row in competence.where(model=model["model"], split="heldout")
                if row["words"]
            ],
            "prompts": prompts.where(model=model["model"]),
        }
        for model in results.table("models").lines
        if model["model"] in plan["models"]
    ]
    return {"found": found, "competence": competence, "prompts": prompts}
