"""Partitions made by hand or by another tool: read and checked row by row."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from connectome import tables
from connectome.errors import DataError
from connectome.labelling import DEAD, UNGROUPED


def read(path: Path, features: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Labels per site of a file made by hand: CSV or Parquet with columns site, feature, part.

    `features` gives the features of each site. A site that the file leaves out is missing in the
    result. Raises DataError naming the first bad row (the first after the header is row 1).
    """
    path = Path(path)
    if path.suffix == ".parquet":
        rows = tables.read_table(path).to_pylist()
    else:
        rows = tables.read_csv(path)
    found: dict[str, np.ndarray] = {}
    for number, row in enumerate(rows, 1):
        try:
            site, feature, part = _checked(row, features)
        except ValueError as error:
            raise DataError(f"{path}: row {number}: {error}") from error
        of_site = found.setdefault(site, np.full(features[site], DEAD - 1, dtype=np.int32))
        if of_site[feature] != DEAD - 1:
            raise DataError(f"{path}: row {number}: feature {feature} of {site} has a part already")
        of_site[feature] = part
    for site, of_site in found.items():
        missing = np.flatnonzero(of_site == DEAD - 1)
        if len(missing):
            raise DataError(
                f"{path}: {site} lacks feature {missing[0]} ({len(missing)} of {len(of_site)} "
                f"missing); give every feature a part, {UNGROUPED} for none, {DEAD} for dead"
            )
        used = np.unique(of_site[of_site >= 0])
        gaps = np.flatnonzero(used != np.arange(len(used)))
        if len(gaps):
            raise DataError(
                f"{path}: part {used[gaps[0]]} of {site} follows a gap: no feature has part "
                f"{gaps[0]}; number the parts 0, 1, 2, ... without gaps"
            )
    return found


def _checked(row: Mapping[str, Any], features: Mapping[str, int]) -> tuple[str, int, int]:
    """Site, feature and part of a row. Raises ValueError saying what is wrong and what is right."""
    for key in ("site", "feature", "part"):
        if row.get(key) is None:
            raise ValueError(f"no value for {key}; the columns are site, feature, part")
    site = row["site"]
    if site not in features:
        raise ValueError(f"site {site!r} is not known; there are {', '.join(features)}")
    numbers = []
    for key in ("feature", "part"):
        try:
            numbers.append(int(str(row[key])))
        except ValueError:
            raise ValueError(f"{key} {row[key]!r} is no whole number") from None
    feature, part = numbers
    if not 0 <= feature < features[site]:
        raise ValueError(
            f"feature {feature} is out of range: {site} has features 0 to {features[site] - 1}"
        )
    if not DEAD <= part < features[site]:
        raise ValueError(
            f"part {part} is out of range: 0 to {features[site] - 1}, {UNGROUPED} for ungrouped, "
            f"{DEAD} for dead"
        )
    return site, feature, part
