"""Conda users: the environments hold what the scripts import, and `--sdm conda` is all they add."""

import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml

from conftest import ROOT, SCRIPTS, quick_command
from connectome import arrays, digest, folders
from connectome.errors import ConfigError
from test_setup import normal

ENVIRONMENTS = {"connectome", "graph-tool"}


def environment_of_scripts():
    """{script: environment of its rule}."""
    found = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for body in re.split(r"^rule ", path.read_text(), flags=re.M)[1:]:
            environment = re.search(r'conda:\s+"\.\./envs/([\w-]+)\.yaml"', body)
            if environment:
                script = re.search(r"\{resources\.scripts:q\}/(\w+)\.py", body)
                found[script.group(1)] = environment.group(1)
    return found


def packages(environment):
    """Names of what an environment asks for, conda's and pip's."""
    content = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())
    listed = content["dependencies"]
    pip = [name for item in listed if isinstance(item, dict) for name in item["pip"]]
    plain = [item for item in listed if isinstance(item, str)]
    return {normal(re.split(r"[=<>]", name)[0]) for name in [*plain, *pip]}


def imports(script, at_once=False):
    """Top-level names of the packages that a script imports, directly or through the library.

    at_once: only what is imported before anything is called.
    """
    path = SCRIPTS / f"{script}.py"
    names = set()
    for file in {path, *digest.reachable(path, SCRIPTS)}:
        tree = ast.parse(file.read_text())
        for node in tree.body if at_once else ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"connectome"}


def test_every_rule_that_works_has_an_environment():
    environments = environment_of_scripts()
    assert set(environments.values()) == ENVIRONMENTS
    assert set(environments) == {path.stem for path in SCRIPTS.glob("*.py")}


@pytest.mark.parametrize("environment", sorted(ENVIRONMENTS))
def test_an_environment_provides_what_its_scripts_import_and_no_more(environment):
    of = packages_distributions() | {"graph_tool": ["graph-tool"]}
    scripts = [s for s, name in environment_of_scripts().items() if name == environment]
    wanted, needed = (
        {normal(of[name][0]) for script in scripts for name in imports(script, at_once)}
        for at_once in (False, True)
    )
    provided = packages(environment) - {"python", "pip"}
    assert needed <= provided <= wanted


def test_the_workflow_is_parsed_by_what_snakemake_itself_needs():
    """So Snakemake and NumPy start a run under conda: nothing of the scripts' environment."""
    code = (
        "import sys; known = set(sys.modules)\n"
        "from pathlib import Path\n"
        "from connectome import checkpoint, configuration, digest, folders, model_tasks, report\n"
        f"root = Path({str(ROOT)!r})\n"
        "config = configuration.read_yaml(root / 'config/config.yaml')\n"
        "schema = configuration.read_yaml(root / 'workflow/schemas/config.schema.yaml')\n"
        "config = configuration.complete({}, config)\n"
        "configuration.validate(config, schema); configuration.check(config, conda=True)\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - known})\n"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=SCRIPTS, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"connectome"}
    of = packages_distributions()
    wanted = {normal(of[name][0]) for name in loaded if name in of}
    assert wanted <= needed_by("snakemake") | {
        "numpy"
    }  # blueprints of built models tell their size


def needed_by(distribution, found=None):
    """Names of a distribution and of all that it requires, extras left out."""
    found = set() if found is None else found
    if normal(distribution) not in found:
        found.add(normal(distribution))
        with contextlib.suppress(PackageNotFoundError):  # for another system or Python
            for text in requires(distribution) or []:
                if "extra ==" not in text:
                    needed_by(re.match(r"[\w.-]+", text)[0], found)
    return found


def test_the_python_of_the_environments_is_one_that_the_project_supports():
    least = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    for environment in ENVIRONMENTS:
        content = (ROOT / f"envs/{environment}.yaml").read_text()
        version = re.search(r"- python=([\d.]+)", content).group(1)
        assert tuple(map(int, version.split("."))) >= tuple(map(int, least[1].split(".")))


# What Snakemake asks of conda; it makes an environment whose Python is the one of its kind here.
CONDA = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$1 $2" in
"info --json") echo '{{"conda_prefix": "{prefix}", "platform": "linux-64"}}' ;;
"--version ") echo "conda 25.1.0" ;;
"config --get") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
"clean -y") ;;
"env create")
    for word; do
        [ "$previous" = --prefix ] && folder=$word
        [ "$previous" = --file ] && file=$word
        case "$word" in --prefix=*) folder=${{word#*=}} ;; --file=*) file=${{word#*=}} ;; esac
        previous=$word
    done
    python="{python}"
    grep -q graph-tool "$file" && python="{graph_tool}"
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\\necho "%s $@" >> "$CALLS"\\nexec "%s" "$@"\\n' \\
        "$(basename "$python")-of-conda" "$python" > "$folder/bin/python"
    chmod +x "$folder/bin/python" ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def conda(tmp_path, monkeypatch):
    """A conda on PATH that makes environments of the interpreters here; the file of its calls."""
    graph_tool = "/usr/bin/python3"
    known = "import sys; sys.modules['cairo'] = None; import graph_tool"
    if subprocess.run([graph_tool, "-c", known], capture_output=True).returncode:
        pytest.skip("graph-tool is not installed here")
    prefix = tmp_path / "conda"
    (prefix / "bin").mkdir(parents=True)
    text = CONDA.format(prefix=prefix, python=sys.executable, graph_tool=graph_tool)
    (prefix / "bin/conda").write_text(text)
    (prefix / "bin/conda").chmod(0o755)
    (prefix / "bin/activate").write_text('export PATH="$1/bin:$PATH"\n')
    monkeypatch.setenv("PATH", f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_sdm_conda_runs_both_kinds_of_rules_in_their_environments(small, conda, tmp_path):
    """No interpreter of the configuration is used: they are named wrongly here."""
    folder = tmp_path / "work"
    for kind in ("graph", "covariance"):
        name = f"one/neurons/{kind}/mlp.0.activation.npz"
        (folder / "results" / name).parent.mkdir(parents=True)
        shutil.copy(small / name, folder / "results" / name)
    shutil.copytree(small.parent / "model", folder / "model")
    for name in ("text.txt", "ten.jsonl"):
        shutil.copy(small.parent / name, folder / name)
    config = json.loads((small.parent / "small.json").read_text())
    config["interpreters"] = {"python": "/no/python", "graph_tool": "/no/python3"}
    (folder / "small.json").write_text(json.dumps(config))
    targets = ["results/one/model.json", "results/one/neurons/sbm/mlp.0.activation.json"]
    done = subprocess.run(
        [
            *quick_command(folder, config=str(folder / "small.json")), "--sdm", "conda",
            "--allowed-rules", "describe_model", "fit_sbm", "--", *targets,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    calls = conda.read_text()
    assert calls.count("env create") == 2
    assert re.search(r"python\S*-of-conda .+/describe_model.py", calls)
    assert re.search(r"python3-of-conda .+/fit_sbm.py", calls)
    for target in targets:
        made, before = (arrays.read_json(root / target) for root in (folder, small.parent))
        for record in (made, before):
            del record["made_by"]
            record.pop("directory", None)  # of the model
        assert made == before


@pytest.mark.parametrize("character", ["'", '"', "$", "`", "\\"])
def test_a_folder_in_which_conda_could_not_be_activated_is_refused(tmp_path, character):
    folders.check(Path("/x"), tmp_path, tmp_path / "a b/é")
    with pytest.raises(ConfigError, match="another folder by --conda-prefix") as caught:
        folders.check(Path("/x"), tmp_path, tmp_path / f"a{character}b")
    assert f"the character {character!r} is not allowed" in str(caught.value)
