"""Partitions: labellings of each site's features into parts, for all sites of a model in one table.

One row per (site, feature); one int32 column per partition: parts 0..B-1 without gaps, UNGROUPED
and DEAD features below 0. `modules` and `heads` follow from the architecture, `rois` and
`rois_attribution` from the block models, `classical` from the weighted block model where it was
asked for. CONTROLS group the same features by other methods, and files made by hand or by another
tool join as columns of their own name. `random` is drawn where it is needed, by `shuffled`.

A dictionary that covers some sites only is written beside a base, the partitions of the native
features: their rows stand for the sites that it does not cover, so that each site has parts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectome import partition_files, tables
from connectome.errors import ConfigError, DataError
from connectome.labelling import size_statistics
from connectome.moments import full

KIND_OF = {"rois": "activation", "rois_attribution": "attribution"}
CONTROLS = ("kmeans", "spectral", "leiden", "infomap")
MADE_HERE = ("modules", "heads", *KIND_OF, *CONTROLS, "classical")
_INDEX = ("site", "feature", "stability", "stability_attribution")
_FINE = {"status": "ok", "reason": None}

Labelling = tuple[np.ndarray, dict[str, Any]]  # labels (features,) and how they came about
OfSites = Mapping[tuple[str, str], Mapping[str, Any]]  # by (site, kind)


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


def matched(table: Any) -> str:
    """The partition whose number of parts the controls have, and whose sizes `random` has too."""
    return str(tables.meta_of(table.schema)["controls_match"])


def by_site(table: Any) -> dict[str, dict[str, np.ndarray]]:
    """All labellings of a table, {site: {partition: labels (features,)}}, of its own sites."""
    every = {name: labels(table, name) for name in names(table)}
    copied = tables.meta_of(table.schema).get("copied", [])
    sites = [site for site in dict.fromkeys(table["site"].to_pylist()) if site not in copied]
    return {site: {name: of_sites[site] for name, of_sites in every.items()} for site in sites}


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


def rois(record: Mapping[str, Any], features: int, blocks: int | None) -> Labelling:
    """Labels of a block model at the level asked for.

    A site whose block model was refused is one part of all its features, with the reason.
    """
    if record["status"] == "refused":
        return _refused(features, record["reason"])
    level = level_of(record, blocks)
    return np.array(record["levels"][level], dtype=np.int32), _FINE | {"level": level}


def _refused(features: int, reason: str) -> Labelling:
    return np.zeros(features, dtype=np.int32), {"status": "refused", "reason": reason}


def features_of(model: Mapping[str, Any], site: str) -> int:
    """Number of native features of a site."""
    if site.startswith("attn."):
        return model["heads"] * model["head_width"]
    return model["hidden"]


def make(
    model: Mapping[str, Any],
    records: OfSites,
    covariances: OfSites,
    graphs: OfSites,
    settings: Mapping[str, Any],
    seed: int,
    base: pa.Table | None = None,
) -> tuple[dict[str, Any] | pa.Table, dict[str, Any]]:
    """Columns and metadata of the table of partitions.

    Arguments: model.json; the block models, and the arrays of the covariance and graph files, by
    (site, kind); settings rois_blocks, controls_match, kmeans_starts, files; the seed of the
    controls; the table of the native features, where these are features of a dictionary. Metadata:
    {"partitions": {name: {site: status, reason, kind (whose data it is made from, if any), matched,
    wanted, level, resolution (where they apply), and its sizes}},
    "controls_match": as in the settings,
    "communities": {site: {kind: communities that the free methods find in data and nulls}},
    "copied": sites whose rows come from the base}.
    Raises ConfigError for a file under the name of a partition made here, DataError for a bad file
    and for a base of other partitions.
    """
    taken = [name for name in settings["files"] if name in (*MADE_HERE, *_INDEX, "random")]
    if taken:
        raise ConfigError(f"partitions.files.{taken[0]}: the name is taken; choose another")
    sites = list(dict.fromkeys(site for site, _ in records))
    features = {
        site: records[site, "activation"]["features"] or features_of(model, site) for site in sites
    }
    native = base is None
    of_files = {
        name: partition_files.read(path, features) if native else {}
        for name, path in settings["files"].items()
    }
    columns: dict[str, list[np.ndarray]] = {}
    about: dict[str, dict[str, Any]] = {}

    def add(name: str, site: str, found: np.ndarray, record: Mapping[str, Any]) -> None:
        columns.setdefault(name, []).append(found)
        about.setdefault(name, {})[site] = {**record, **size_statistics(found)}

    to_match = settings["controls_match"]
    kind = KIND_OF[to_match]
    classical = any(record["classical"] for record in records.values())
    for site, d in features.items():
        add("modules", site, np.zeros(d, dtype=np.int32), _FINE)
        if native or not site.startswith("attn."):
            add("heads", site, heads(site, d, model["head_width"]), _FINE)
        else:
            add("heads", site, *_refused(d, "features of a dictionary belong to no single head"))
        fitted = {}
        for name, of_kind in KIND_OF.items():
            labelled, record = rois(records[site, of_kind], d, settings["rois_blocks"])
            fitted[name] = labelled, record | {"kind": of_kind}
            add(name, site, *fitted[name])
        controls = _controls(
            fitted[to_match],
            covariances.get((site, kind)),
            graphs.get((site, kind)),
            settings,
            seed,
        )
        for name, (labelled, record) in controls.items():
            add(name, site, labelled, record | {"kind": kind, "matched": to_match})
        if classical:
            labelled, record = rois(records[site, kind]["classical"], d, settings["rois_blocks"])
            add("classical", site, labelled, record | {"kind": kind})
        for name, of_file in of_files.items():
            if site in of_file:
                add(name, site, of_file[site], _FINE)
            else:
                lack = f"has no {site}" if native else f"knows the native features of {site} alone"
                add(name, site, *_refused(d, f"{settings['files'][name]} {lack}"))
    index = {
        "site": np.repeat(sites, list(features.values())).tolist(),
        "feature": np.concatenate([np.arange(d, dtype=np.int32) for d in features.values()]),
    }
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    meta = {
        "partitions": about,
        "controls_match": to_match,
        "communities": _communities(records, graphs, seed),
        "copied": [],
    }
    content = index | joined | _stabilities(records, features)
    return (content, meta) if base is None else _completed(pa.table(content), meta, base)


def _completed(
    own: pa.Table, meta: Mapping[str, Any], base: pa.Table
) -> tuple[pa.Table, dict[str, Any]]:
    """The table with the rows of the base for the sites that it does not cover, in their order."""
    of_base = tables.meta_of(base.schema)
    if set(own.column_names) != set(base.column_names):
        differ = sorted(set(own.column_names) ^ set(base.column_names))
        raise DataError(
            f"the base has other partitions ({', '.join(differ)} in one of the two only); make it "
            "again under the same configuration"
        )
    covered = dict.fromkeys(own["site"].to_pylist())
    copied = [site for site in dict.fromkeys(base["site"].to_pylist()) if site not in covered]
    sites = [*dict.fromkeys([*base["site"].to_pylist(), *covered])]
    source = dict.fromkeys(covered, own) | dict.fromkeys(copied, base.select(own.column_names))
    rows = [source[site].filter(pc.equal(source[site]["site"], site)) for site in sites]
    about = {
        name: {**of_base["partitions"][name], **found}  # in the order of the base
        for name, found in meta["partitions"].items()
    }
    joined = pa.concat_tables([table.replace_schema_metadata(None) for table in rows])
    return joined, {**meta, "partitions": about, "copied": copied}


def _controls(
    matched: Labelling,
    covariance: Mapping[str, np.ndarray] | None,
    graph: Mapping[str, np.ndarray] | None,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, Labelling]:
    """Each control of one site, from the data and at the number of parts of the matched ROIs."""
    labelled, about = matched
    if about["status"] == "refused" or covariance is None or graph is None:
        reason = f"nothing to match: {about['reason']}"
        return dict.fromkeys(CONTROLS, _refused(len(labelled), reason))
    # they take seconds to import, and the engine reads partitions without making any
    from connectome import communities, controls

    basis = controls.Basis(
        moments=full(covariance),
        graph=communities.network(graph["data"], graph["data.r"]),
        dead=graph["dead"],
        parts=int(labelled.max()) + 1,
        starts=settings["kmeans_starts"],
        seed=seed,
    )
    made = {}
    for name in CONTROLS:
        too_wide = controls.refusal(name, basis)
        if too_wide:
            made[name] = _refused(len(labelled), too_wide)
        else:
            found, details = controls.METHODS[name](basis)
            made[name] = found, _FINE | details
    return made


def _communities(records: OfSites, graphs: OfSites, seed: int) -> dict[str, Any]:
    """Communities that Leiden and Infomap find in the data and the nulls of every fitted graph."""
    fitted = [key for key, record in records.items() if record["status"] == "ok" and key in graphs]
    found: dict[str, Any] = {}
    if fitted:
        from connectome import communities

        for site, kind in fitted:
            found.setdefault(site, {})[kind] = communities.counts(graphs[site, kind], seed)
    return found


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
