# lm-connectome: from a language model to regions of interest, circuits and a report.
#
#   snakemake --cores 2 results/report.html        the embedded default (config/config.yaml)
#   snakemake --configfile mine.yaml ...           your model; what it leaves out is taken from the default
from snakemake.utils import min_version

min_version("9.14")


pathvars:
    logs="<results>/log",
    benchmarks="<results>/benchmark",


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/model.smk"
include: "rules/data.smk"
include: "rules/activations.smk"
include: "rules/dictionaries.smk"
include: "rules/covariance.smk"
include: "rules/rois.smk"
include: "rules/circuits.smk"
include: "rules/evaluation.smk"
include: "rules/truth.smk"
include: "rules/cards.smk"
include: "rules/directions.smk"
include: "rules/features.smk"
include: "rules/tables.smk"
include: "rules/comparison.smk"
include: "rules/figures.smk"
include: "rules/exports.smk"
include: "rules/report.smk"
include: "rules/provenance.smk"
include: "rules/paper.smk"
include: "rules/unfinished.smk"


# On a cluster these run where it is submitted from: seconds each, and a place in a queue takes longer.
QUICK = (
    *("tabulate_", "plot_", "build_report", "build_gallery"),
    *("record_provenance", "write_methods", "pack_supplement"),
)
workflow.localrules(*(rule.name for rule in workflow.rules if rule.name.startswith(QUICK)))


rule all:
    default_target: True
    input:
        "<results>/report.html",
        "<results>/provenance.json",
