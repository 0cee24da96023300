"""summary.csv: every number that a sentence of the page uses, from the other tables alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from connectome.tabulate.identity import Row, median, share

COLUMNS = (
    "key",
    "model",
    "dictionary",
    "kind",
    "partition",
    "task",
    "value",
    "lo",
    "hi",
    "text",
    "source",
)

ROIS = "rois_attribution"
CONTROLS = ("kmeans", "spectral", "leiden", "random")


def number(text: str) -> float | None:
    """Number of a CSV field; None where it is empty."""
    return float(text) if text else None


def rows(
    tables: Mapping[str, Sequence[Mapping[str, str]]], settings: Mapping[str, Any]
) -> list[Row]:
    """Rows from the tables by name (as read from CSV) and the `report` section of the config."""
    result: list[Row] = [
        _row("target", value=settings["faithfulness"], text=settings["method"], source="config")
    ]
    models = [row["model"] for row in tables["models"]]
    for model in models:
        of_model = {
            name: [row for row in rows if row.get("model") == model]
            for name, rows in tables.items()
        }
        result.extend(row | {"model": model} for row in _model_rows(of_model))
        dictionaries = dict.fromkeys(
            row["dictionary"] for name in ("sites", "sizes") for row in of_model[name]
        )
        for dictionary in dictionaries:
            part = {
                name: [row for row in rows if row.get("dictionary") in (None, dictionary)]
                for name, rows in of_model.items()
            }
            found = [
                *_site_rows(part),
                *_circuit_rows(part, settings),
                *_agreement_rows(part, settings),
                *_dictionary_rows(part.get("dictionaries", [])),
            ]
            result.extend(row | {"model": model, "dictionary": dictionary} for row in found)
    return result


def _row(key: str, **values: Any) -> Row:
    return dict.fromkeys(COLUMNS, None) | {"key": key} | values


def _spread(key: str, values: Iterable[float | None], **names: Any) -> Row:
    """Median of the defined values, with their smallest and largest as lo and hi."""
    known = [value for value in values if value is not None]
    return _row(
        key, value=median(known), lo=min(known, default=None), hi=max(known, default=None), **names
    )


def _count(
    key: str,
    rows: Iterable[Mapping[str, str]],
    test: Callable[[Mapping[str, str]], bool],
    **names: Any,
) -> Row:
    return _row(key, value=sum(map(test, rows)), **names)


def _named(key: str, rows: Sequence[Mapping[str, str]], column: str, **names: Any) -> Row:
    """How many rows there are, and which."""
    return _row(key, value=len(rows), text=", ".join(row[column] for row in rows), **names)


def _true(column: str) -> Callable[[Mapping[str, str]], bool]:
    return lambda row: row[column] == "true"


def _model_rows(tables: Mapping[str, list[Mapping[str, str]]]) -> Iterator[Row]:
    source = {"source": "competence.csv"}
    heldout = [row for row in tables["competence"] if row["split"] == "heldout"]
    able = [row for row in heldout if row["competent"] == "true"]
    yield _row("tasks", value=len(heldout), **source)
    yield _row("tasks_competent", value=len(able), **source)
    for row in heldout:
        if row["competent"] != "true":
            yield _row(
                "task_cannot",
                task=row["task"],
                value=number(row["accuracy_clean"]),
                lo=number(row["accuracy_clean_lo"]),
                hi=number(row["accuracy_clean_hi"]),
                text=row["reason"],
                **source,
            )
    yield _spread("accuracy_clean", (number(row["accuracy_clean"]) for row in able), **source)
    yield _spread(
        "accuracy_corrupted", (number(row["accuracy_corrupted"]) for row in able), **source
    )
    yield _spread("chance", (number(row["chance"]) for row in able), **source)
    measured = [row for row in heldout if row["pairs"] != "0"]  # a refused task has none
    yield _spread("pairs", (number(row["pairs"]) for row in measured), **source)
    yield _spread("distinct", (number(row["distinct"]) for row in measured), **source)


def _site_rows(tables: Mapping[str, list[Mapping[str, str]]]) -> Iterator[Row]:
    for kind in dict.fromkeys(row["kind"] for row in tables["sites"]):
        names = {"kind": kind, "source": "sites.csv"}
        every = [row for row in tables["sites"] if row["kind"] == kind]
        fitted = [row for row in every if row["status"] == "ok"]
        several = [row for row in fitted if int(row["blocks"]) > 1]
        yield _row("sites", value=len(every), **names)
        yield _row("sites_fitted", value=len(fitted), **names)
        yield _row("sites_several", value=len(several), **names)
        yield _row("rois", value=sum(int(row["blocks"]) for row in several), **names)
        yield _count("sites_null_pass", fitted, _true("null_pass"), **names)
        failed = [row for row in fitted if row["null_pass"] == "false"]
        yield _named("sites_null_fail", failed, "site", **names)
        refused = [row for row in every if row["status"] != "ok"]
        yield _named("sites_refused", refused, "site", **names)
        yield _spread("samples", (number(row["samples"]) for row in fitted), **names)
        for column in ("restarts", "seed_ami", "half_ami", "half_ami_null"):
            yield _spread(column, (number(row[column]) for row in fitted), **names)
    for partition in dict.fromkeys(row["partition"] for row in tables["rois"]):
        names = {"partition": partition, "source": "rois.csv"}
        tested = [row for row in tables["rois"] if row["partition"] == partition]
        tested = [row for row in tested if row["mean_r"] and row["mean_r_random_hi"]]
        yield _row("rois_tested", value=len(tested), **names)
        yield _count(
            "rois_tighter",
            tested,
            lambda row: float(row["mean_r"]) > float(row["mean_r_random_hi"]),
            **names,
        )


def _circuit_rows(
    tables: Mapping[str, list[Mapping[str, str]]], settings: Mapping[str, Any]
) -> Iterator[Row]:
    curves = [
        row
        for row in tables["sizes"]
        if row["method"] == settings["method"] and row["intervention"] == "edge"
    ]
    for partition in dict.fromkeys(row["partition"] for row in curves):
        names = {"partition": partition, "source": "sizes.csv"}
        every = [row for row in curves if row["partition"] == partition]
        able = [row for row in every if row["competent"] == "true"]
        reached = [row for row in able if row["reached"] == "true"]
        tested = [row for row in reached if row["null_hi"] and row["f_lo"]]
        yield _row("circuits", value=len(able), **names)
        yield _row("circuits_reached", value=len(reached), **names)
        yield _row("circuits_tested", value=len(tested), **names)
        beaten = [row for row in tested if float(row["f_lo"]) > float(row["null_hi"])]
        yield _row("circuits_beat_null", value=len(beaten), **names)
        met = [row for row in tested if row not in beaten]
        yield _named("circuits_meet_null", met, "task", **names)
        missed = [row for row in able if row not in reached]
        yield _named("circuits_missed", missed, "task", **names)
        yield _spread("faithfulness", (number(row["faithfulness"]) for row in reached), **names)
        yield _spread("null_draws", (number(row["draws"]) for row in tested), **names)
        yield _spread("null_median", (number(row["null_median"]) for row in tested), **names)
        for column in ("edges", "features"):
            yield _spread(f"{column}_needed", (number(row[column]) for row in reached), **names)
            yield _spread(
                f"{column}_share",
                (share(float(row[column]), float(row[f"{column}_all"])) for row in reached),
                **names,
            )
        for row in every:
            if partition in settings["circuits"]:
                yield from _one_circuit(row, names)
    yield from _against_controls(curves)
    yield from _strongest(tables["roi_scores"], settings)


BASELINES = ("pca", "untrained")  # that a dictionary must beat to have learned anything


def _dictionary_rows(lines: Sequence[Mapping[str, str]]) -> Iterator[Row]:
    """How well the run that is mapped gives back what the model writes, over its sites.

    `dictionary_better`: sites at which it explains more than each of BASELINES and costs less.
    """
    mapped = [row for row in lines if row["run"] == "dictionary"]
    own = [row for row in mapped if row["kind"] == "dictionary"]
    measured = [row for row in own if row["status"] == "ok"]
    names = {"source": "dictionaries.csv"}
    if not own:
        return
    yield _row("dictionary_sites", value=len(measured), **names)
    refused = [row for row in own if row not in measured]
    yield _named("dictionary_refused", refused, "site", **names)
    for column in ("explained_variance", "delta", "recovered_mean", "matched"):
        yield _spread(column, (number(row[column]) for row in measured), **names)
    baselines = [row for row in mapped if row["kind"] in BASELINES and row["status"] == "ok"]
    for kind in BASELINES:
        found = [row for row in baselines if row["kind"] == kind]
        for column in ("explained_variance", "delta"):
            yield _spread(column, (number(row[column]) for row in found), kind=kind, **names)
    compared = {
        row["site"]: [other for other in baselines if other["site"] == row["site"]]
        for row in measured
    }
    better = [row for row in measured if _is_better(row, compared[row["site"]])]
    tested = sum(map(bool, compared.values()))
    yield _row("dictionary_better", value=len(better), hi=tested, **names)


def _is_better(row: Mapping[str, str], others: Sequence[Mapping[str, str]]) -> bool:
    """Whether a dictionary explains more than all of them, and costs less where that is known."""
    return bool(others) and all(
        float(row["explained_variance"]) > float(other["explained_variance"])
        and not (row["delta"] and other["delta"] and float(row["delta"]) >= float(other["delta"]))
        for other in others
    )


def _against_controls(curves: Sequence[Mapping[str, str]]) -> Iterator[Row]:
    """On how many tasks (of `hi`) circuits of ROIs reach the target with fewer features."""
    needed: dict[str, dict[str, float]] = {}
    for row in curves:
        if row["competent"] == row["reached"] == "true":
            needed.setdefault(row["partition"], {})[row["task"]] = float(row["features"])
    for control in CONTROLS:
        common = needed.get(ROIS, {}).keys() & needed.get(control, {}).keys()
        if common:
            fewer = sum(needed[ROIS][task] < needed[control][task] for task in common)
            yield _row(
                "fewer_features",
                partition=ROIS,
                value=fewer,
                hi=len(common),
                text=control,
                source="sizes.csv",
            )


def _one_circuit(row: Mapping[str, str], names: Mapping[str, str]) -> Iterator[Row]:
    of_task = {**names, "task": row["task"]}
    yield _row(
        "circuit_faithfulness",
        value=number(row["faithfulness"]),
        lo=number(row["f_lo"]),
        hi=number(row["f_hi"]),
        text="reached" if row["reached"] == "true" else "not reached",
        **of_task,
    )
    yield _row("circuit_edges", value=number(row["edges"]), hi=number(row["edges_all"]), **of_task)
    yield _row(
        "circuit_features", value=number(row["features"]), hi=number(row["features_all"]), **of_task
    )
    yield _row(
        "circuit_null",
        value=number(row["null_median"]),
        lo=number(row["null_lo"]),
        hi=number(row["null_hi"]),
        **of_task,
    )
    yield _row("circuit_null_edges", value=number(row["null_edges"]), **of_task)


def _strongest(scores: Iterable[Mapping[str, str]], settings: Mapping[str, Any]) -> Iterator[Row]:
    """The part with the largest share of |node score|, per task and drawn partition."""
    best: dict[tuple[str, str], Mapping[str, str]] = {}
    for row in scores:
        key = (row["partition"], row["task"])
        drawn = row["partition"] in settings["circuits"] and row["node"] != "input"
        if drawn and row["share"] and float(row["share"]) > float(best.get(key, _NONE)["share"]):
            best[key] = row
    for (partition, task), row in best.items():
        yield _row(
            "strongest",
            partition=partition,
            task=task,
            value=number(row["share"]),
            text=row["node"],
            source="roi_scores.csv",
        )


_NONE: Mapping[str, str] = {"share": "-1"}


def _agreement_rows(
    tables: Mapping[str, list[Mapping[str, str]]], settings: Mapping[str, Any]
) -> Iterator[Row]:
    able = {row["task"] for row in tables["competence"] if row["competent"] == "true"}
    every = [
        row
        for row in tables["agreement"]
        if row["method"] == settings["method"] and row["task"] in able
    ]
    for partition in dict.fromkeys(row["partition"] for row in every):
        names = {"partition": partition, "source": "agreement.csv"}
        found = [row for row in every if row["partition"] == partition]
        for column in ("spearman_abs", "top_overlap", "chance", "edges"):
            key = f"agreement_{column}"
            yield _spread(key, (number(row[column]) for row in found), **names)
