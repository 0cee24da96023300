"""Partitions: labellings of each site's features into parts, for all sites of a model in one table.

One row per (site, feature); one int32 column per partition: parts 0..B-1 without gaps, UNGROUPED
and DEAD features below 0. `modules` and `heads` follow from the architecture, `rois` and
`rois_attribution` from the block models, `kmeans` is the control at the same number of parts, and
files made by hand or by another tool join as columns of their own name. `random` is drawn
where it is needed, by `shuffled`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from connectome import tables
from connectome.errors import ConfigError, DataError
from connectome.labelling import DEAD, UNGROUPED, by_size, size_statistics
from connectome.moments import correlation, full

KIND_OF = {"rois": "activation", "rois_attribution": "attribution"}
MADE_HERE = ("modules", "heads", *KIND_OF, "kmeans")
_INDEX = ("site", "feature", "stability", "stability_attribution")


def load(path: Path) -> Any:
    """The table of partitions (pyarrow.Table) of a model and dictionary."""
    return tables.read_table(path)


def names(table: Any) -> list[str]:
    """Partitions of a table, in the order of its columns."""
    return [name for name in table.column_names if name not in _INDEX]


def labels(table: Any, name: str) -> dict[str, np.ndarray]:
    """Labels (features,) int32 of each site under one partition, sites in the table's order.

    Raises ConfigError for a partition that the table has not.
    """
    if name not in names(table):
        raise ConfigError(f"partition {name!r} is not known; there are {', '.join(names(table))}")
    site_n = np.asarray(table["site"].to_pylist())
    label_n = table[name].to_numpy().astype(np.int32)
    order = dict.fromkeys(site_n.tolist())
    return {site: label_n[site_n == site] for site in order}


def shuffled(of_features: np.ndarray, seed: int | Sequence[int]) -> np.ndarray:
    """The `random` control: labels permuted over the features that have a part.

    Number and sizes of the parts stay as they are; dead and ungrouped features stay where they are.
    """
    grouped = np.flatnonzero(of_features >= 0)
    result = of_features.copy()
    result[grouped] = np.random.default_rng(seed).permutation(of_features[grouped])
    return result


def heads(site: str, features: int, head_width: int) -> np.ndarray:
    """Native head of each feature of an attention site; an MLP has one part."""
    if site.startswith("attn."):
        return np.arange(features, dtype=np.int32) // head_width
    return np.zeros(features, dtype=np.int32)


def level_of(record: Mapping[str, Any], blocks: int | None) -> int:
    """Level of a block model: the finest, or the one nearest to `blocks` parts (ties: finer)."""
    if blocks is None:
        return 0
    return int(np.argmin([abs(found - blocks) for found in record["blocks"]]))


def rois(
    record: Mapping[str, Any], features: int, blocks: int | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Labels (features,) of a block model and how they came about.

    A site whose block model was refused is one part of all its features, with the reason.
    """
    about = {"status": record["status"], "reason": record["reason"]}
    if record["status"] == "refused":
        return np.zeros(features, dtype=np.int32), about | {"level": None}
    level = level_of(record, blocks)
    return np.array(record["levels"][level], dtype=np.int32), about | {"level": level}


def kmeans(m2: np.ndarray, dead: np.ndarray, parts: int, starts: int, seed: int) -> np.ndarray:
    """k-means of the live features on their correlation profiles (unit rows, diagonal 1).

    Without the diagonal the two members of a pair would have orthogonal profiles.
    """
    # scikit-learn takes a second to import, and the engine reads partitions without clustering
    from sklearn.cluster import KMeans

    live = np.flatnonzero(~dead)
    result = np.full(len(dead), DEAD, dtype=np.int32)
    profiles = correlation(m2[np.ix_(live, live)])
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    found = KMeans(parts, n_init=starts, random_state=seed).fit_predict(profiles)
    result[live] = by_size(found)
    return result


def read_file(path: Path, features: Mapping[str, int]) -> dict[str, np.ndarray]:
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


def features_of(model: Mapping[str, Any], site: str) -> int:
    """Number of native features of a site."""
    if site.startswith("attn."):
        return model["heads"] * model["head_width"]
    return model["hidden"]


def make(
    model: Mapping[str, Any],
    records: Mapping[tuple[str, str], Mapping[str, Any]],
    covariances: Mapping[tuple[str, str], Mapping[str, np.ndarray]],
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns and metadata of the table of partitions.

    Arguments: model.json; the block models and the covariances by (site, kind); settings
    rois_blocks, controls_match, kmeans_starts, files; the seed of k-means. Metadata:
    {"partitions": {name: {site: status, reason, level, blocks, sizes}}}.
    Raises ConfigError for a file under the name of a partition made here, DataError for a bad file.
    """
    taken = [name for name in settings["files"] if name in (*MADE_HERE, *_INDEX, "random")]
    if taken:
        raise ConfigError(f"partitions.files.{taken[0]}: the name is taken; choose another")
    sites = list(dict.fromkeys(site for site, _ in records))
    features = {
        site: records[site, "activation"]["features"] or features_of(model, site) for site in sites
    }
    of_files = {name: read_file(path, features) for name, path in settings["files"].items()}
    columns: dict[str, list[np.ndarray]] = {}
    about: dict[str, dict[str, Any]] = {}

    def add(name: str, site: str, found: np.ndarray, record: Mapping[str, Any]) -> None:
        columns.setdefault(name, []).append(found)
        about.setdefault(name, {})[site] = {**record, **size_statistics(found)}

    fine = {"status": "ok", "reason": None}
    for site, d in features.items():
        add("modules", site, np.zeros(d, dtype=np.int32), fine)
        add("heads", site, heads(site, d, model["head_width"]), fine)
        fitted = {}
        for name, kind in KIND_OF.items():
            fitted[name] = rois(records[site, kind], d, settings["rois_blocks"])
            add(name, site, *fitted[name])
        add("kmeans", site, *_control(site, fitted, records, covariances, settings, seed))
        for name, found in of_files.items():
            absent = {"status": "refused", "reason": f"{settings['files'][name]} has no {site}"}
            whole = np.zeros(d, dtype=np.int32)
            add(name, site, found.get(site, whole), fine if site in found else absent)
    index = {
        "site": np.repeat(sites, list(features.values())).tolist(),
        "feature": np.concatenate([np.arange(d, dtype=np.int32) for d in features.values()]),
    }
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return index | joined | _stabilities(records, features), {"partitions": about}


def _control(
    site: str,
    fitted: Mapping[str, tuple[np.ndarray, dict[str, Any]]],
    records: Mapping[tuple[str, str], Mapping[str, Any]],
    covariances: Mapping[tuple[str, str], Mapping[str, np.ndarray]],
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[np.ndarray, dict[str, Any]]:
    """k-means at the number of parts of the partition that `controls_match` names."""
    matched = settings["controls_match"]
    found, about = fitted[matched]
    if about["status"] == "refused":
        return found, {"status": "refused", "reason": f"nothing to match: {about['reason']}"}
    key = (site, KIND_OF[matched])
    dead = np.array(records[key]["levels"][0]) == DEAD
    m2 = full(covariances[key]).m2
    parts = int(found.max()) + 1
    clustered = kmeans(m2, dead, parts, settings["kmeans_starts"], seed)
    return clustered, {"status": "ok", "reason": None, "matched": matched}


def _stabilities(
    records: Mapping[tuple[str, str], Mapping[str, Any]], features: Mapping[str, int]
) -> dict[str, np.ma.MaskedArray]:
    """Columns of the stability of each feature under both block models, masked where undefined."""
    result = {}
    for column, kind in (("stability", "activation"), ("stability_attribution", "attribution")):
        values: list[float | None] = []
        for site, d in features.items():
            values += records[site, kind]["stability"] or [None] * d  # [] where nothing was seen
        undefined = [value is None for value in values]
        filled = [0.0 if value is None else value for value in values]
        result[column] = np.ma.array(filled, mask=undefined, dtype=np.float32)
    return result
