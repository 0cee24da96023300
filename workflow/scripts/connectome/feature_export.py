"""Hidden units as the feature files that viewers of attribution graphs open beside a graph.

Examples are the exported prompts themselves, with the unit's value at every token: no others are
known of a native unit. A feature that has a card (feature_cards.py) shows the examples, the
histogram and the extremes of that. Tokens at either end of what it writes are those of its direct
effect on the logits, by rank; see region_writing for the conventions. NumPy and the standard
library.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from connectome.graph_export import FEATURE, cantor, cantor_inverse
from connectome.plots.literal import visible

Record = dict[str, Any]
Row = Mapping[str, Any]
QUANTILE = "Exported prompts"
DIGITS = 5


class Example(NamedTuple):
    """A prompt and what the units of each layer do in it."""

    tokens: Sequence[str]
    values: Mapping[int, np.ndarray]  # by layer, (t, units)


def features_of(graphs: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Layer and index of every feature that is a node of a graph, in order."""
    numbers = {
        node["feature"]
        for graph in graphs
        for node in graph["nodes"]
        if node["feature_type"] == FEATURE
    }
    return sorted(map(cantor_inverse, numbers))


def name_of(layer: int, index: int) -> str:
    """File of a feature, by the number that nodes have."""
    return f"{cantor(layer, index)}.json"


def record(
    layer: int,
    index: int,
    scan: str,
    examples: Sequence[Example],
    effect: np.ndarray,
    text_of: Callable[[int], str],
    most: int,
) -> Record:
    """The file of one unit; effect (vocabulary,): what it writes does to the logits."""
    values = [example.values[layer][:, index] for example in examples]
    order = sorted(range(len(values)), key=lambda i: -values[i].max())
    found: Record = {
        "index": index,
        "transcoder_id": f"{scan}/mlp.{layer}",
        "top_logits": _tokens(-effect, text_of, most),
        "bottom_logits": _tokens(effect, text_of, most),
        "examples_quantiles": [
            {
                "quantile_name": QUANTILE,
                "examples": [_example(examples[i].tokens, values[i]) for i in order],
            }
        ],
    }
    if values:
        found["act_min"] = _short(min(value.min() for value in values))
        found["act_max"] = _short(max(value.max() for value in values))
    return found


def carded(
    found: Mapping[str, Any], card: Row, examples: Sequence[Row], logits: Sequence[Row]
) -> Record:
    """The file of a feature with what its card says beside the exported prompts.

    card, examples, logits: its rows of the tables of feature_cards.
    """
    groups: dict[str, list[Record]] = {}
    for row in sorted(examples, key=lambda row: (row["kind"] != "top", row["rank"])):
        name = "Top" if row["quantile"] is None else f"Quantile {row['quantile']:.3g}"
        groups.setdefault(name, []).append(_window(row))
    quantiles = [{"quantile_name": name, "examples": of} for name, of in groups.items()]
    result = {**found, "examples_quantiles": [*quantiles, *found["examples_quantiles"]]}
    if card["tokens"]:
        result["activation_frequency"] = _short(card["fires"] / card["tokens"])
    if card["highest"]:  # features are silent at 0 on most tokens, and never below
        edges = np.linspace(0, card["highest"], len(card["histogram"]) + 1)
        result |= {"act_min": 0.0, "act_max": _short(card["highest"])}
        result |= {"histogram": list(card["histogram"])}
        result |= {"quantile_values": [_short(edge) for edge in edges]}
    for side in ("top", "bottom") if logits else ():
        rows = sorted((r for r in logits if r["side"] == side), key=lambda row: row["rank"])
        result[f"{side}_logits"] = [visible(row["text"], ends=False) for row in rows]
    return result


def _window(row: Row) -> Record:
    return {
        "tokens": [visible(token, ends=False) for token in row["tokens"]],
        "tokens_acts_list": [_short(score or 0.0) for score in row["scores"]],
        "train_token_ind": int(row["at"]),
        "is_repeated_datapoint": False,
    }


def _example(tokens: Sequence[str], values: np.ndarray) -> Record:
    return {
        "tokens": [visible(token, ends=False) for token in tokens],
        "tokens_acts_list": [_short(value) for value in values],
        "train_token_ind": int(values.argmax()),
        "is_repeated_datapoint": False,
    }


def _tokens(effect: np.ndarray, text_of: Callable[[int], str], most: int) -> list[str]:
    order = np.argsort(effect, kind="stable")[: min(most, len(effect) // 2)]
    return [visible(text_of(token), ends=False) for token in order.tolist()]


def _short(number: Any) -> float:
    return float(f"{float(number):.{DIGITS}g}")
