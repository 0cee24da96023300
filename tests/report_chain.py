"""Synthetic results, their tables, some figures and the page: made once for all tests of them.

Everything goes through the scripts' own `main`, in this process.
"""

import argparse
import atexit
import functools
import importlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import synthetic_features
import synthetic_results
from conftest import ROOT
from connectome.tables import write_csv
from synthetic_results import CANNOT, DICTIONARY, SPARSE, SPARSE_SITES

MODEL = "demo"
PLAN = synthetic_results.plan((MODEL,))
CFG = PLAN["report"] | {"seed": 1, "dpi": 50, "bins": 24, "rois_blocks": None}
DRAWN_SITES = ["mlp.0.activation", "attn.0.attribution"]
DRAWN_TASKS = ["ioi", CANNOT]
SUFFIXES = (".csv", ".pdf", ".svg", ".png")  # of a figure; its sidecar ends in .json


def call(script: str, **arguments: Any) -> None:
    """Run one script in this process."""
    stamp = {"cfg": "{}", "code": ""}
    args = argparse.Namespace(cfg=CFG, stamp=stamp, **arguments)
    importlib.import_module(script).main(args)


@functools.cache
def results() -> Path:
    """Folder with results of two models, all tables, and figures of some sites and tasks."""
    root = Path(tempfile.mkdtemp(prefix="lm-connectome-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    synthetic_results.write(root)
    make_tables(root)
    make_figures(root)
    return root


@functools.cache
def page() -> str:
    """The page of the first model."""
    root = results()
    call_page(root)
    return (root / "report.html").read_text(encoding="utf-8")


def call_page(root: Path, plan: dict[str, Any] = PLAN) -> None:
    """Write report.html into a results folder."""
    from connectome.report.build import build

    text = build(root, plan, ROOT / "workflow" / "report")
    (root / "report.html").write_text(text, encoding="utf-8")


def make_tables(root: Path) -> None:
    """All tables, as the rules make them."""

    def found(pattern: str) -> list[Path]:
        return sorted(root.glob(pattern))

    out = root / "tables"
    competence = found("*/tasks/*.competence.json")
    edges = found("*/*/circuits/*.edges.parquet")
    curves = found("*/*/evaluation/*.summaries.parquet")
    call("tabulate_models", models=found("*/model.json"), output=out / "models.csv")
    call("tabulate_training", curves=found("*/training.parquet"), output=out / "training.csv")
    call(
        "tabulate_competence",
        competence=competence,
        prompts=found("*/tasks/*.parquet"),
        output=out / "competence.csv",
        examples=out / "prompts.csv",
    )
    call(
        "tabulate_sites",
        graphs=found("*/*/graph/*.npz"),
        fits=found("*/*/sbm/*.json"),
        partitions=found("*/*/partitions.parquet"),
        output=out / "sites.csv",
        levels=out / "levels.csv",
        nulls=out / "nulls.csv",
        classical=out / "classical.csv",
    )
    call(
        "tabulate_partitions",
        partitions=found("*/*/partitions.parquet"),
        output=out / "partitions.csv",
        agreement=out / "partition_agreement.csv",
    )
    call(
        "tabulate_rois",
        covariance=found("*/*/covariance/*.npz"),
        graphs=found("*/*/graph/*.npz"),
        partitions=found("*/*/partitions.parquet"),
        nodes=found("*/*/circuits/*.nodes.parquet"),
        output=out / "rois.csv",
        scores=out / "roi_scores.csv",
        sizes=out / "roi_sizes.csv",
    )
    call(
        "tabulate_directions",
        directions=found("*/*/directions.parquet"),
        heads=[],
        partitions=[],
        output=out / "directions.csv",
        feature_heads=out / "feature_heads.csv",
        overlap=out / "head_overlap.csv",
    )
    call(
        "tabulate_faithfulness",
        evaluations=[path for path in found("*/*/evaluation/*.parquet") if path not in curves],
        curves=curves,
        competence=competence,
        output=out / "faithfulness.csv",
        sizes=out / "sizes.csv",
        errors=out / "errors.csv",
        tests=out / "tests.csv",
        summaries=out / "summaries.csv",
    )
    call(
        "tabulate_circuits",
        edges=edges,
        sizes=out / "sizes.csv",
        output=out / "circuits.csv",
        scores=out / "edge_scores.csv",
    )
    call(
        "tabulate_agreement",
        edges=edges,
        resampled=found("*/*/circuits/*.stability.parquet"),
        faithfulness=out / "faithfulness.csv",
        output=out / "agreement.csv",
        stability=out / "stability.csv",
    )
    call(
        "tabulate_specificity",
        cells=found("*/*/specificity.parquet"),
        matrices=found("*/*/specificity.summary.parquet"),
        output=out / "specificity.csv",
        summary=out / "specificity_summary.csv",
    )
    kinds = ("profiles", "members", "examples", "tokens", "effects", "writing", "logits")
    call(
        "tabulate_cards",
        competence=competence,
        nodes=found("*/*/circuits/*.nodes.parquet"),
        output=out,
        **{kind: found(f"*/*/rois/{kind}.parquet") for kind in kinds},
    )
    kinds = ("cards", "examples", "tokens", "logits", "scores")
    call(
        "tabulate_features",
        partitions=found("*/*/partitions.parquet"),
        output=out,
        **{kind: found(f"*/*/features/{kind}.parquet") for kind in kinds},
    )
    quality = synthetic_features.quality_rows(MODEL, SPARSE, SPARSE_SITES)
    write_csv(out / "dictionaries.csv", quality, synthetic_features.QUALITY)
    names = (
        *("models", "competence", "sites", "rois", "roi_scores", "sizes", "agreement"),
        "dictionaries",
    )
    call(
        "tabulate_summary",
        tables=[out / f"{name}.csv" for name in names],
        output=out / "summary.csv",
    )


def make_figures(root: Path) -> None:
    """One figure of each kind, and those of a refused site and of a task the model cannot do."""
    tables, out = root / "tables", root / "figures"
    pair = {"model": MODEL, "dictionary": DICTIONARY}
    stem = f"{MODEL}.{DICTIONARY}"
    call(
        "plot_competence",
        competence=tables / "competence.csv",
        model=MODEL,
        output=out / f"competence.{MODEL}.csv",
    )
    call(
        "plot_training",
        training=tables / "training.csv",
        model=MODEL,
        output=out / f"training.{MODEL}.csv",
    )
    call(
        "plot_rois",
        sites=tables / "sites.csv",
        levels=tables / "levels.csv",
        output=out / f"rois.{stem}.csv",
        **pair,
    )
    call(
        "plot_partitions",
        agreement=tables / "partition_agreement.csv",
        output=out / f"partitions.{stem}.csv",
        **pair,
    )
    for site in ("mlp.0", "attn.0"):
        call(
            "plot_hierarchy",
            sites=tables / "sites.csv",
            levels=tables / "levels.csv",
            site=site,
            output=out / f"hierarchy.{stem}.{site}.csv",
            **pair,
        )
    call("plot_ablation", sizes=tables / "sizes.csv", output=out / f"ablation.{stem}.csv", **pair)
    call(
        "plot_specificity",
        specificity=tables / "specificity.csv",
        output=[out / f"specificity.{stem}.{sets}.csv" for sets in ("circuit", "assigned")],
        **pair,
    )
    for site in DRAWN_SITES:
        call(
            "plot_covariance",
            covariance=root / MODEL / DICTIONARY / "covariance" / f"{site}.npz",
            fit=root / MODEL / DICTIONARY / "sbm" / f"{site}.json",
            output=out / f"covariance.{stem}.{site}.csv",
        )
    names = ("circuits", "roi_scores", "sizes", "competence", "prompts")
    for task in DRAWN_TASKS:
        call(
            "plot_faithfulness",
            faithfulness=tables / "faithfulness.csv",
            task=task,
            output=out / f"faithfulness.{stem}.{task}.csv",
            **pair,
        )
        call(
            "plot_circuit",
            tables=[tables / f"{name}.csv" for name in names],
            task=task,
            output=[
                out / f"circuit.{stem}.{task}.{partition}.csv"
                for partition in PLAN["report"]["circuits"]
            ],
            **pair,
        )
        call(
            "plot_units",
            faithfulness=tables / "faithfulness.csv",
            errors=tables / "errors.csv",
            model=MODEL,
            native=DICTIONARY,
            task=task,
            output=out / f"units.{MODEL}.{task}.csv",
        )


def place(attrs):
    """The cell that a number of the page names: table, row, column."""
    table, row, column = attrs["data-at"].split(" ")
    return f"{table}.csv", int(row), column
