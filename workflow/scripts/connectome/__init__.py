"""The library behind the workflow: plain functions on arrays and tables, no Snakemake."""
