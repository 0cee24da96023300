"""Which dictionaries each model has, at which sites, and where each comes from.

The dictionary `neurons` is every model's own: native and exact. Others cover some sites and are
made of features that were trained here or elsewhere; what they do not cover stays native.
Standard library alone: it runs whenever the workflow is parsed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectome import dictionary_formats, dictionary_hub, model_tasks
from connectome.dictionary_settings import DictionarySettings
from connectome.errors import ConfigError, ConnectomeError, NotFetchedError, did_you_mean

Config = Mapping[str, Any]
NATIVE = "neurons"
MAIN = "dictionary"  # run that is mapped; those of a sweep are trained and judged only
OPTIONS = ("allow_unset_threshold", "embedding", "transcoder")
SPARSITY = {"relu": 0.05, "jumprelu": 1.0}  # weight of what keeps features few, by default


def names_of(config: Config, model: str) -> list[str]:
    """Dictionaries of a model."""
    return [
        name
        for name, spec in config["dictionaries"].items()
        if model in spec.get("models", config["models"])
    ]


def sparse_of(config: Config, model: str) -> list[str]:
    """Dictionaries of a model that are made of features."""
    return [name for name in names_of(config, model) if name != NATIVE]


def sites_of(config: Config, dictionary: str) -> list[str]:
    """Sites that a dictionary of features covers, in the order of the forward pass."""
    spec = config["dictionaries"][dictionary]
    listed = spec["sites"] if "train" in spec else spec["load"]
    return sorted(listed, key=_place)


def nodes_of(config: Config, dictionary: str) -> list[str]:
    """Those of its sites that are mapped: what modules write, not the stream, whose parts would
    stand for all modules before them."""
    return [site for site in sites_of(config, dictionary) if site.startswith(("attn", "mlp"))]


def _place(site: str) -> tuple[int, int]:
    kind, _, layer = site.partition(".")
    return int(layer or -1), ("attn", "mlp", "resid").index(kind) if layer else 0


def tasks_of(config: Config, model: str, dictionary: str) -> list[str]:
    """Tasks whose circuits are traced on a dictionary: those of the model that it lists."""
    own = model_tasks.tasks_of(config, model)
    if dictionary == NATIVE:
        return own
    if not nodes_of(config, dictionary):
        return []
    listed = config["dictionaries"][dictionary].get("tasks", own)
    return [task for task in own if task in listed]


def is_trained(config: Config, dictionary: str) -> bool:
    """Whether a dictionary is trained here."""
    return "train" in config["dictionaries"][dictionary]


def runs_of(config: Config, dictionary: str) -> dict[str, dict[str, Any]]:
    """Runs of a dictionary that is trained here, {name: settings}: the one mapped, then its sweep.

    A run of the sweep is named after the settings in which it differs, as in `sweep.k8-seed2`.
    """
    spec = config["dictionaries"][dictionary]
    main = {**config["dictionary_training"], "seed": config["seed"], **spec["train"]}
    return {MAIN: _settled(main)} | {
        run_name(change): _settled({**main, **change}) for change in spec.get("sweep", [])
    }


def run_name(change: Mapping[str, Any]) -> str:
    """Name of a run of a sweep."""
    return "sweep." + "-".join(f"{key}{value}" for key, value in sorted(change.items()))


def _settled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those that follow from others filled in."""
    result = dict(settings)
    if result["sparsity"] is None:
        result["sparsity"] = SPARSITY.get(result["architecture"], 0.0)
    return result


def is_transcoder(config: Config, dictionary: str) -> bool:
    """Whether a dictionary trained here reads the input of its module."""
    return bool(runs_of(config, dictionary)[MAIN]["transcoder"])


def recorded_of(config: Config, model: str) -> list[str]:
    """Module outputs, and inputs of MLPs, that are recorded: those listed, and what dictionaries
    of the model are trained and judged on."""
    found = dict.fromkeys(config["activations"]["outputs"])
    for dictionary in sparse_of(config, model):
        sites = sites_of(config, dictionary)
        found |= dict.fromkeys(sites)
        if not is_trained(config, dictionary) or is_transcoder(config, dictionary):
            # what a loaded dictionary reads is known only when its files are open
            found |= dict.fromkeys(f"{site}.in" for site in sites if site.startswith("mlp"))
    return list(found)


def natives_of(config: Config, model: str) -> list[str] | str:
    """Sites whose native features are recorded: those listed, and attention whose features are
    assigned to heads by the heads' own values."""
    listed: list[str] | str = config["activations"]["sites"]
    if listed == "all":
        return listed
    assigned = [
        site
        for dictionary in sparse_of(config, model)
        for site in nodes_of(config, dictionary)
        if site.startswith("attn")
    ]
    return list(dict.fromkeys([*listed, *assigned]))


def foreign_folder(source: Mapping[str, Any], cache: Path | None) -> Path:
    """Folder of a dictionary that was made elsewhere.

    Raises NotFetchedError where it is of the hub and not in the local cache.
    """
    if "path" in source:
        return Path(source["path"])
    names = source["hub"], source.get("revision"), source.get("folder", "")
    return dictionary_hub.cached_dictionary(*names, cache)


def foreign_files(source: Mapping[str, Any], cache: Path | None) -> list[Path]:
    """Its files that are read. Raises DataError where it is not one dictionary."""
    folder = foreign_folder(source, cache)
    here = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    layout = dictionary_formats.layout_of(here, str(folder))
    return [folder / name for name in (*layout.WEIGHTS, *layout.FILES) if name in here]


def options_of(source: Mapping[str, Any]) -> dict[str, bool]:
    """What the files of a dictionary do not say, so the configuration does."""
    return {key: source[key] for key in OPTIONS if key in source}


def to_fetch(config: Config) -> list[dict[str, str | None]]:
    """Dictionaries by hub id: names, revisions, folders."""
    sources = [
        source
        for spec in config["dictionaries"].values()
        for source in spec.get("load", {}).values()
    ]
    return [
        {"name": s["hub"], "revision": s.get("revision"), "folder": s.get("folder", "")}
        for s in sources
        if "hub" in s
    ]


def faults(
    config: Config,
    layers: Mapping[str, int],
    widths: Mapping[str, int | None],
    cache: Path | None,
) -> Iterator[str]:
    """What is wrong with the dictionaries, a sentence each.

    layers, widths: of the models that are known so far; cache: of the hub.
    """
    for name, spec in config["dictionaries"].items():
        place = f"dictionaries.{name}"
        if name == NATIVE:
            if spec:
                yield f"{place}: the native features have no settings; write {{}}"
            continue
        yield from _name_faults(config, place, spec)
        for model in spec.get("models", config["models"]):
            for site in sites_of(config, name):
                if model in layers and _place(site)[0] >= layers[model]:
                    yield (
                        f"{place}: {site!r} does not exist: model {model!r} has {layers[model]} "
                        f"layers, numbered 0 to {layers[model] - 1}; name others, or other `models`"
                    )
        for site, source in spec.get("load", {}).items():
            try:
                folder = foreign_folder(source, cache)
                known = {widths.get(model) for model in spec.get("models", config["models"])}
                for width in known:
                    dictionary_formats.check_folder(folder, options_of(source), site, width)
            except NotFetchedError:
                continue  # `fetch` brings it, and the rules say so to all else
            except ConnectomeError as error:
                yield f"{place}.load.{site}: {error}"
        if "train" in spec:
            runs = runs_of(config, name)
            if len(runs) <= len(spec.get("sweep", [])):
                yield f"{place}.sweep: two runs are the same; each must differ from the others"
            for run, settings in runs.items():
                train = {key: value for key, value in settings.items() if key != "seed"}
                try:
                    DictionarySettings.from_dict(train, settings["seed"])
                except ConfigError as error:
                    yield f"{place}.{'train' if run == MAIN else run}: {error}"
            if is_transcoder(config, name):
                for site in sites_of(config, name):
                    if not site.startswith("mlp"):
                        yield (
                            f"{place}.sites: {site!r} cannot be that of a transcoder, which stands "
                            "for an MLP; name sites such as mlp.0"
                        )


def _name_faults(config: Config, place: str, spec: Mapping[str, Any]) -> Iterator[str]:
    for key in ("models", "tasks"):
        known = list(config[key])
        for name in spec.get(key, []):
            if name not in known:
                yield f"{place}.{key}: {name!r} is no {key[:-1]}; {did_you_mean(name, known)}"
