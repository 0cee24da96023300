"""The library behind the workflow: plain functions on arrays and tables; knows nothing of Snakemake."""
