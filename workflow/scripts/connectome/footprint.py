"""What the jobs of a model ask for: cards, and memory in MB from its sizes: bounds, not estimates.

Standard library alone: it runs at every parse of the workflow. What is not known then is taken for
large: prompts of PROMPT tokens, graphs with as many parts as the model has heads and modules.
benchmarks/sizes.py prints how much of it is used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectome.architectures import Dimensions

BASE = 1000  # MB of the interpreter and its libraries, and what stands beside the arrays
PROMPT = 32  # tokens
PAIRS = 64  # prompt pairs in a batch, where the configuration does not say
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def cards_asked_for(device: str, folder: Path = Path("/dev")) -> int:
    """Cards that a job which runs the model asks the scheduler for, 0 or 1.

    For "auto" 1 where this machine has one, seen by its device file: torch is not imported here.
    """
    here = any(folder.glob("nvidia[0-9]*"))
    return int(device.startswith("cuda") or (device == "auto" and here))


def layer_numbers(size: Dimensions) -> int:
    """Weights of a layer in the engine: each head has its own keys and values; MLPs with gate."""
    return size.width * (4 * size.heads * size.head_width + 3 * size.hidden)


def weights(size: Dimensions, dtype: str) -> int:
    """Bytes of the weights in the engine, embeddings and unembedding included."""
    ends = (2 * size.vocabulary + size.context) * size.width
    return (ends + size.layers * layer_numbers(size)) * BYTES[dtype]


def loading(size: Dimensions, dtype: str) -> int:
    """Bytes while a model is read: a layer, or the embeddings, in float64 with its copies."""
    ends = 8 * 2 * size.vocabulary * size.width
    return max(weights(size, dtype) + 8 * 4 * layer_numbers(size), 2 * ends)


def _trace(size: Dimensions, tokens: int, longest: int) -> int:
    """Numbers that a layer leaves behind in a pass over so many tokens."""
    attention = size.heads * (4 * size.head_width + 2 * longest)
    return tokens * (4 * size.width + attention + 3 * size.hidden)


def recording(size: Dimensions, dtype: str, config: Mapping[str, Any], sites: int) -> int:
    """Bytes of record_activations: one layer's pass, all streams, the columns of a batch."""
    section = config["activations"]
    longest = min(size.context, section["batch_tokens"])
    tokens = max(section["batch_tokens"], longest)
    features = sites * max(size.hidden, size.heads * size.head_width)
    columns = features + len(section["outputs"]) * size.width
    numbers = _trace(size, tokens, longest) + 2 * size.layers * tokens * size.width
    return weights(size, dtype) + numbers * BYTES[dtype] + 2 * tokens * columns * 4


def passing(size: Dimensions, dtype: str, pairs: int) -> int:
    """Bytes of a pass over prompts of which nothing is kept but the streams."""
    tokens = pairs * PROMPT
    numbers = _trace(size, tokens, PROMPT) + 2 * size.layers * tokens * size.width
    return weights(size, dtype) + numbers * BYTES[dtype] + 3 * 4 * pairs * size.vocabulary


def attributing(size: Dimensions, dtype: str, pairs: int, graphs: bool = True) -> int:
    """Bytes of attribution: a pass, values and gradients at all sites, what every part writes."""
    tokens = pairs * PROMPT
    passes = size.layers * _trace(size, tokens, PROMPT)
    features = 6 * size.layers * tokens * (size.heads * size.head_width + size.hidden)
    parts = (size.heads + 1) * size.layers if graphs else 2 * size.layers
    written = 2 * parts * tokens * size.width * 4 / BYTES[dtype]
    return weights(size, dtype) + int((passes + features + written) * BYTES[dtype])


def dictionary(size: Dimensions, dtype: str, features: int, tokens: int) -> int:
    """Bytes of a job that trains, judges or applies a dictionary of so many features.

    Weights, gradients and moments of a training, batches of `tokens` in all features; the model,
    a pass and its logits.
    """
    trained = 4 * (6 * 2 * size.width * features + 4 * tokens * features)
    block = 2048  # tokens
    numbers = _trace(size, block, size.context) + 2 * size.layers * block * size.width
    judged = weights(size, dtype) + numbers * BYTES[dtype] + 3 * 4 * block * size.vocabulary
    return max(trained, judged + 4 * 4 * size.width * features, loading(size, dtype))


def covariance(features: int, batch_rows: int) -> int:
    """Bytes of the moments of a site, both halves and a batch in float64."""
    return 8 * (6 * features**2 + 4 * features * batch_rows)


def graph(features: int, block_rows: int) -> int:
    """Bytes of build_graph: data, halves and nulls of a site, and blocks of rolled rows."""
    return 8 * (20 * features**2 + 12 * features * block_rows)


def stated(
    rule: str,
    least: int,
    size: Dimensions | None,
    dtype: str,
    config: Mapping[str, Any],
    sites: int,
) -> int:
    """MB that a job of `rule` asks for: `least`, more for a big model.

    `size` is None where it is not known before anything has run. `sites` are recorded.
    """
    if size is None:
        return least
    of_rule = {
        "describe_model": lambda: 8 * max(size.vocabulary * size.width, layer_numbers(size)),
        "record_activations": lambda: recording(size, dtype, config, sites),
        "record_attributions": lambda: attributing(size, dtype, PAIRS, graphs=False),
        "score_prompts": lambda: attributing(size, dtype, config["circuits"]["batch_pairs"]),
        "measure_competence": lambda: passing(size, dtype, 256),
        "compute_covariance": lambda: covariance(
            max(size.hidden, size.heads * size.head_width), config["covariance"]["batch_rows"]
        ),
    }
    of_rule |= dict.fromkeys(
        (
            "compare_directions",
            "assign_heads",
            "describe_features",
            "export_graph",
            "export_features",
        ),
        lambda: passing(size, dtype, PAIRS),
    )
    of_rule |= dict.fromkeys(
        ("run_circuits", "ablate_rois", "ablate_across_tasks"),
        lambda: attributing(size, dtype, PAIRS, graphs=False),
    )
    of_rule["make_partitions"] = of_rule["compute_covariance"]
    of_rule["build_graph"] = lambda: graph(
        max(size.hidden, size.heads * size.head_width), config["graph"]["block_rows"]
    )
    needed = of_rule[rule]()
    if rule not in ("describe_model", "compute_covariance", "build_graph", "make_partitions"):
        needed = max(needed, loading(size, dtype))
    return max(least, BASE + needed // 10**6)
