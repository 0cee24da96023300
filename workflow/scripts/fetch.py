"""Bring what the configuration takes from the hub to the local cache. Uses the network."""

from connectome import command, dictionary_hub, hub


def main(args):
    wanted = [(hub.fetch_model, source) for source in args.cfg["models"]]
    wanted += [(hub.fetch_dataset, source) for source in args.cfg["datasets"]]
    wanted += [
        (dictionary_hub.fetch_dictionary, source) for source in args.cfg.get("dictionaries", [])
    ]
    if not wanted:
        print("the configuration takes nothing from the hub")
    for fetch, source in wanted:
        directory, commit = fetch(**source, cache=args.cache)
        print(f"{source['name']}: commit {commit} lies in {directory}")
        if not hub.is_pinned(source["revision"]):
            print(f"  not pinned: write `revision: {commit}` beside it, and every run has the same")


if __name__ == "__main__":
    parser = command.parser(__doc__)
    command.add_cache(parser)
    command.run(main, parser)
