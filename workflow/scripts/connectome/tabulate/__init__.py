"""Tables that leave the workflow: rows of results files, one module per table.

All that figures and page show is a cell of one of these tables. A module has COLUMNS, the order of
its columns, and a function from records already read to rows. None is "not defined".
"""
