"""Figures: one module per figure, each a pure function from a table to a Figure.

A module has `select` (rows of the tables -> the rows that are plotted), COLUMNS (their order in the
CSV beside the figure), and of those rows, as read from the CSV, `draw` (the Figure), `caption`
(what is drawn, in words without numbers; the page shows it) and `claim` (what these rows say).
`palette`, `literal` and `phrases` import nothing outside the standard library. Scripts import
single modules (`import connectome.plots.style as style`): naming the package itself would make
every figure stale when one of them is edited.
"""
