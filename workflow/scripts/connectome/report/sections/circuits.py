"""Circuits: which parts carry each task, drawn layer by layer."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectome.report import marks
from connectome.report.marks import Html

RANK = 40
TITLE = "Circuits"
EDGES = 150_000  # of all circuits together inside the page: 1.6 MB
_ENDS = {"input": "embed", "logits": "logits"}
_KIND_OF = {"rois": "activation", "rois_attribution": "attribution"}


def _circuits(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"model": model, "dictionary": dictionary, "task": task, "partition": partition}
        for model, facts in plan["models"].items()
        for dictionary, covered in facts["dictionaries"].items()
        for task in covered["tasks"]
        for partition in plan["report"]["circuits"]
    ]


def _figure(names: Mapping[str, str]) -> str:
    return "circuit.{model}.{dictionary}.{task}.{partition}".format(**names)


def inputs(plan: Mapping[str, Any]) -> list[str]:
    """Files of the results folder that this section reads."""
    tables = ["circuits", "agreement", "roi_scores", "roi_sizes", "sizes", "summary", "edge_scores"]
    drawn = [_figure(names) for names in _circuits(plan)]
    return [f"tables/{name}.csv" for name in tables] + [f"figures/{name}.svg" for name in drawn]


def context(results: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """One drawing per task and partition, with its edges and its summary rows."""
    edges, agreement = results.table("circuits"), results.table("agreement")
    shares = results.table("roi_scores")
    sizes = results.table("sizes")
    figures = []
    for names in _circuits(plan):
        wanted = names | {"method": plan["report"]["method"], "intervention": "edge"}
        size = sizes.where(**wanted)
        figures.append(
            {
                "names": names,
                "figure": _figure(names),
                "edges": edges.where(**names),
                "size": size[0] if size else None,
                "strongest": results.summary(names["model"], names["dictionary"])(
                    "strongest", task=names["task"], partition=names["partition"]
                ),
            }
        )
    compared = [
        {
            "names": {"model": model, "dictionary": dictionary, "partition": partition},
            "find": results.summary(model, dictionary),
        }
        for model, facts in plan["models"].items()
        for dictionary in facts["dictionaries"]
        for partition in dict.fromkeys(
            row["partition"] for row in agreement.where(model=model, dictionary=dictionary)
        )
    ]
    explored = explorer(results.columns("tables/edge_scores.csv"), shares.lines, plan)
    return {
        "figures": figures,
        "edges": edges,
        "agreement": agreement,
        "compared": compared,
        "explorer": explored,
        "by_size": results.table("roi_sizes"),
    }


def explorer(
    scores: Mapping[str, list[str]] | None, shares: Iterable[Any], plan: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What the explorer draws: {"header", "blocks"}; None without edge_scores.csv.

    scores: columns of that table. shares: rows of roi_scores.csv. The header names the nodes of
    each partition with their row (0 is the input) and place; a block holds one circuit: `score`,
    `src`, `dst`, `slot` of each edge, strongest first, and `share`, `into`, `out` of each node:
    its share of |node score|, and the sums of |score| over all edges into and out of it.
    """
    if scores is None:
        return None
    rows = _rows_by_circuit(scores)
    wanted = [names for names in _circuits(plan) if tuple(names.values()) in rows]
    most = EDGES // max(1, len(wanted))
    share_of = _shares(shares, plan["report"]["method"])
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for names in wanted:
        key = (names["model"], names["dictionary"], names["partition"])
        if key not in groups:
            of_group = [i for n in wanted if _group(n) == key for i in rows[tuple(n.values())]]
            groups[key] = _nodes(scores, of_group, share_of, key) | {"at": len(groups)}
    circuits: list[dict[str, Any]] = []
    blocks: list[Html] = []
    for names in wanted:
        of_circuit = rows[tuple(names.values())][:most]
        group = groups[_group(names)]
        block, facts = _block(scores, of_circuit, names, group, share_of)
        blocks.append(marks.block(f"edges-{len(circuits)}", block))
        circuits.append(names | facts | {"group": group["at"]})
    listed = [{k: v for k, v in group.items() if k != "at"} for group in groups.values()]
    header = {"groups": listed, "circuits": circuits, "kinds": _KIND_OF}
    return {"header": header, "blocks": Html("\n".join(blocks))}


def _group(names: Mapping[str, str]) -> tuple[str, ...]:
    return names["model"], names["dictionary"], names["partition"]


def _rows_by_circuit(scores: Mapping[str, list[str]]) -> dict[tuple[str, ...], list[int]]:
    """Numbers of the rows of each (model, dictionary, task, partition), strongest first."""
    found: dict[tuple[str, ...], list[int]] = {}
    names = zip(*(scores[c] for c in ("model", "dictionary", "task", "partition")), strict=True)
    for i, key in enumerate(names):
        found.setdefault(key, []).append(i)
    return found


def _shares(lines: Iterable[Any], method: str) -> dict[tuple[Any, str], Any]:
    """Rows of roi_scores.csv by ((model, dictionary, task, partition), node)."""
    names = ("model", "dictionary", "task", "partition")
    return {
        (tuple(line[name] for name in names), line["node"]): line
        for line in lines
        if line["method"] == method
    }


def _nodes(
    scores: Mapping[str, list[str]],
    rows: Sequence[int],
    share_of: Mapping[tuple[Any, str], Any],
    key: tuple[str, ...],
) -> dict[str, Any]:
    """Nodes of a partition bottom-up: the input, the parts of each site by number, the logits."""
    site_of = {"input": "embed", "logits": "logits"}
    features: dict[str, str] = {}
    for end in ("src", "dst"):
        names, sites = scores[end], scores[f"{end}_site"]
        site_of.update((names[i], sites[i]) for i in rows if names[i] not in _ENDS)
    for ((model, dictionary, _, partition), node), line in share_of.items():
        if (model, dictionary, partition) == key:
            site_of.setdefault(node, line["site"])
            features[node] = line["features"]
    sites = sorted(set(site_of.values()), key=_site_order)
    names = sorted(site_of, key=lambda node: (sites.index(site_of[node]), _part_order(node)))
    return {
        "sites": sites,
        "names": names,
        "row": [sites.index(site_of[node]) for node in names],
        "features": [int(features.get(node) or 0) for node in names],
    }


def _site_order(site: str) -> tuple[int, int, str]:
    """The input, then what each layer writes in its order, then the logits."""
    if site in _ENDS.values():
        return (-1 if site == "embed" else 10**6, 0, site)
    kind, _, layer = site.partition(".")
    return int(layer), ("attn", "mlp").index(kind) if kind in ("attn", "mlp") else 2, site


def _part_order(name: str) -> tuple[bool, int, str]:
    """By number, those that are named for a mark (`m0.dead`) last."""
    digits = "".join(c for c in name.rpartition(".")[2] if c.isdigit())
    return not digits and "." in name, int(digits or 0), name


def _block(
    scores: Mapping[str, list[str]],
    rows: Sequence[int],
    names: Mapping[str, str],
    group: Mapping[str, Any],
    share_of: Mapping[tuple[Any, str], Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    number = {node: i for i, node in enumerate(group["names"])}
    score = [float(scores["score"][i]) for i in rows]
    sums = {"into": [0.0] * len(number), "out": [0.0] * len(number)}
    for i, value in zip(rows, score, strict=True):
        for side, end, part in (("into", "dst", "of_inputs"), ("out", "src", "of_outputs")):
            place = number[scores[end][i]]
            if not sums[side][place] and float(scores[part][i] or 0):
                sums[side][place] = abs(value) / float(scores[part][i])
    key = tuple(names[name] for name in ("model", "dictionary", "task", "partition"))
    lines = [share_of.get((key, node)) for node in group["names"]]
    slots = [scores["slot"][i] for i in rows]
    block: dict[str, Any] = {
        "score": ("f32", score),
        "share": ("f32", [float((line and line["share"]) or math.nan) for line in lines]),
        "into": ("f32", sums["into"]),
        "out": ("f32", sums["out"]),
        "src": ("u16", [number[scores["src"][i]] for i in rows]),
        "dst": ("u16", [number[scores["dst"][i]] for i in rows]),
    }
    if any(slots):
        block["slot"] = ("u8", [" qkv".find(slot or " ") for slot in slots])
    kept = float(scores["cumulative"][rows[-1]] or 0) if rows else 0.0
    total = math.fsum(abs(value) for value in score) / kept if kept else 0.0
    return block, {"total": total, "edges_all": int(scores["edges_all"][rows[0]])}
