"""Write docs/stages: a page for each file of rules, from the rules, the schema and the defaults.

The rules are parsed by Snakemake and nothing is run. What a rule reads of the configuration is
found by changing one key after another and looking whether its `cfg` changes.
"""

import argparse
import ast
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import HOME  # sets the path to the library
from snakemake.api import SnakemakeApi
from snakemake.iocontainers import Wildcards
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

from connectome import configuration

ROOT = HOME.parent
PAGES = ROOT / "docs/stages"
# one model of each kind that has rules of its own; the interpreters of no machine in particular
EXAMPLE = {
    "models": {"trained": {"train": {}}, "built": {"build": "induction"}},
    "tasks": {"ioi": {"generator": "ioi"}, "known": {"generator": "known_induction"}},
    "interpreters": {"graph_tool": "auto"},
}
NAMED = ("models", "tasks")  # sections whose keys are names that the user gives
CHANGED = "changed"  # a value that no key has


@dataclass(frozen=True)
class Rule:
    """A rule as its page shows it."""

    name: str
    about: str  # docstring of its script; empty for a named target
    inputs: list[str]
    outputs: list[str]
    needs: list[str]  # threads and resources
    keys: list[str]  # of the configuration, dotted


@dataclass(frozen=True)
class Key:
    """A key of the configuration: default and comment of config.yaml, condition of the schema."""

    default: str
    meaning: str
    allowed: str


def workflow_of(config: Mapping[str, Any]) -> Any:
    """The parsed workflow under a configuration; nothing is run or written."""
    with SnakemakeApi(OutputSettings(dryrun=True)) as api:
        parsed = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(config=dict(config)),
            snakefile=ROOT / "Snakefile",
        )
        return parsed._workflow  # no public call hands out the rules


def stages(workflow: Any) -> dict[str, list[Rule]]:
    """Rules of each file of rules, in the order in which the Snakefile includes them."""
    found: dict[str, list[Rule]] = {}
    scope = workflow.globals
    for rule in workflow.rules:
        path = Path(rule.snakefile)
        if path.suffix == ".smk":
            block = _block(path.read_text(encoding="utf-8"), rule.name)
            cfg = getattr(rule.params, "cfg", None)
            found.setdefault(path.stem, []).append(
                Rule(
                    rule.name,
                    _about(rule.name),
                    _items(block.get("input", ""), scope),
                    _items(block.get("output", ""), scope),
                    [block.get("threads", "").strip(), *_resources(block.get("resources", ""))],
                    keys_read(cfg, scope) if callable(cfg) else [],
                )
            )
    return found


def _block(text: str, name: str) -> dict[str, str]:
    """{directive: its lines} of a rule in a file that snakefmt has formatted."""
    body = re.split(rf"^rule {name}:\n", text, flags=re.M)[1]
    body = re.split(r"^\S", body, flags=re.M)[0]
    parts = re.split(r"^    (\w+):", body, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _about(name: str) -> str:
    script = HOME / f"scripts/{name}.py"
    if not script.is_file():
        return ""
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""


def _items(lines: str, scope: Mapping[str, Any]) -> list[str]:
    """Files of a directive, one text each: pattern, name in the rule, and for which they are."""
    call = ast.parse(f"files(\n{lines}\n)", mode="eval").body
    assert isinstance(call, ast.Call)
    named = [(None, node) for node in call.args] + [(k.arg, k.value) for k in call.keywords]
    return [_item(name, node, scope) for name, node in named]


def _item(name: str | None, node: ast.expr, scope: Mapping[str, Any]) -> str:
    text = f"`{_literal(node) or ast.unparse(node)}`"
    if isinstance(node, ast.Name):
        text = _first_line(scope.get(node.id)) or text
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        pattern = _literal(node.args[0]) if node.args else ""
        doc = _first_line(scope.get(node.func.id))
        of = re.match(r"(?:Input function: the files of `pattern`|Files of a pattern) (.*)", doc)
        if of and pattern:
            text = f"`{pattern}` {of[1]}"
    return f"{name}: {text}" if name else text


def _literal(node: ast.expr) -> str:
    """The text of a string constant; empty for anything else."""
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _first_line(thing: Any) -> str:
    return (getattr(thing, "__doc__", None) or "").split("\n")[0].rstrip(".")


def _resources(lines: str) -> list[str]:
    """Resources but the two that say where interpreter and scripts lie."""
    call = ast.parse(f"resources(\n{lines}\n)", mode="eval").body
    assert isinstance(call, ast.Call)
    return [
        f"{keyword.arg} {ast.unparse(keyword.value)}"
        for keyword in call.keywords
        if keyword.arg not in ("python", "scripts", "graph_tool")
    ]


def keys_read(cfg: Callable[[Any], str], scope: Mapping[str, Any]) -> list[str]:
    """Keys of the configuration on which `cfg` depends, for at least one model and task."""
    config, found = scope["config"], set()
    for values in _wildcards(scope):
        with contextlib.suppress(KeyError):  # a rule of models of another kind
            before = cfg(values)
            for place, name, key in _leaves(config):
                old, place[name] = place[name], CHANGED
                try:
                    if cfg(values) != before:
                        found.add(key)
                except Exception:  # whatever the wrong value does: it was read
                    found.add(key)
                finally:
                    place[name] = old
    return sorted(found)


def _wildcards(scope: Mapping[str, Any]) -> Iterator[Any]:
    for model in scope["MODELS"]:
        for task in scope["TASKS_OF"][model]:
            site, kind = scope["fitted_sites"](model)[0], scope["KINDS"][0]
            known = {"model": model, "task": task, "site": site, "kind": kind, "shard": "0"}
            yield Wildcards(fromdict={**known, "dictionary": scope["DICTIONARIES"][0]})


def _leaves(section: dict[str, Any], above: str = "") -> Iterator[tuple[dict[str, Any], str, str]]:
    """(dict, name in it, dotted key) of every value; where users give the names, the section."""
    for name, value in list(section.items()):
        key = f"{above}.{name}" if above else name
        named = above.split(".")[0] in NAMED
        if isinstance(value, dict) and value:
            yield from _leaves(value, above if named else key)
        else:
            yield section, name, above if named else key


def documented(text: str, schema: Mapping[str, Any]) -> dict[str, Key]:
    """Every key of config.yaml, by its dotted name: text of its default, comment, condition."""
    found = {}
    section = ""
    for line in text.splitlines():
        parts = re.match(r"( {0,2})(\w+):(.*?)(?: +# (.*))?$", line)
        if parts is None:
            continue
        if not parts[1]:
            section = parts[2]
        key = f"{section}.{parts[2]}" if parts[1] else section
        found[key] = Key(parts[3].strip(), parts[4] or "", _allowed(key, schema))
    return found


def _allowed(key: str, schema: Mapping[str, Any]) -> str:
    place: Mapping[str, Any] = schema
    for name in key.split("."):
        place = place.get("properties", {}).get(name, {})
        if "$ref" in place:
            place = schema["$defs"][place["$ref"].rpartition("/")[2]]
    return str(place.get("description", ""))


def page(stage: str, header: str, rules: list[Rule], known: Mapping[str, Key]) -> str:
    """Markdown of a stage."""
    lines = [f"# {stage}", "", header, "", f"Rules: `rules/{stage}.smk`. [All stages](README.md)"]
    for rule in rules:
        lines += ["", f"## {rule.name}", ""]
        lines += [rule.about, ""] if rule.about else ["A named target: it makes its inputs.", ""]
        lines += [f"- in: {item}" for item in rule.inputs]
        lines += [f"- out: {item}" for item in rule.outputs]
        if rule.about:
            threads, *resources = rule.needs
            lines.append(f"- takes: {', '.join([f'threads {threads}', *resources])}")
            reads = ", ".join(f"`{name}`" for name in _short(rule.keys, known))
            lines.append(f"- reads of the configuration: {reads or 'nothing'}")
    keys = sorted({key for rule in rules for key in rule.keys})
    if keys:
        lines += ["", "## Keys", "", "| key | default | what it is | what it may be |"]
        lines.append("| --- | --- | --- | --- |")
        for key in keys:
            lines.append(_row(key, known.get(key, known[key.split(".")[0]])))
    return "\n".join(lines) + "\n"


def _short(keys: list[str], known: Mapping[str, Key]) -> list[str]:
    """The same keys, a section in one word where all of its keys are among them."""
    result = []
    for key in keys:
        section = key.split(".")[0]
        whole = [name for name in known if name.startswith(f"{section}.")]
        if whole and all(name in keys for name in whole):
            key = section
        if key not in result:
            result.append(key)
    return result


def _row(key: str, entry: Key) -> str:
    default = f"`{entry.default}`" if entry.default else ""
    cells = [f"`{key}`", default, entry.meaning, entry.allowed]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def pages() -> dict[str, str]:
    """{file name: Markdown} of docs/stages."""
    text = (ROOT / "config/config.yaml").read_text(encoding="utf-8")
    schema = configuration.read_yaml(HOME / "schemas/config.schema.yaml")
    known = documented(text, schema)
    result, index = {}, []
    for stage, rules in stages(workflow_of(EXAMPLE)).items():
        source = (ROOT / f"rules/{stage}.smk").read_text(encoding="utf-8")
        comment = re.match(r"(?:# .*\n)+", source)
        header = re.sub(r"\n?# ?", " ", comment[0] if comment else "").strip()
        result[f"{stage}.md"] = page(stage, header, rules, known)
        index.append(f"- [{stage}]({stage}.md): {header.partition('Makes: ')[2]}")
    top = "# Stages\n\nIn the order of the pipeline, generated by `make docs` from the rules, the "
    top += "schema and the defaults. `<results>` is the root of all results. Every rule also has "
    top += "a log and a benchmark under it.\n\n"
    return {"README.md": top + "\n".join(index) + "\n", **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PAGES, help="folder of the pages")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"wrote {len(made)} pages to {folder}")


if __name__ == "__main__":
    main()
