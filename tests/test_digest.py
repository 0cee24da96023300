"""The digest sees code and nothing else."""

import ast
import re
import sys
from pathlib import Path

import pytest

from connectome.digest import code_digests, reachable

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow/scripts"


@pytest.fixture
def root(tmp_path):
    files = {
        "run.py": "from lib import a\nimport lib.pack\n\nprint(a.x, lib.pack)\n",
        "lib/__init__.py": "",
        "lib/a.py": "from lib.b import y\n\nx = y\n",
        "lib/b.py": "y = 1\n",
        "lib/unused.py": "z = 1\n",
        "lib/pack/__init__.py": "from . import core\n",
        "lib/pack/core.py": "from ..c import w\n",
        "lib/pack/found_by_name.py": "v = 1\n",
        "lib/c.py": "w = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_and_packages_counted_whole(root):
    found = {path.relative_to(root).as_posix() for path in reachable(root / "run.py", root)}
    assert found == {
        "lib/__init__.py",
        "lib/a.py",
        "lib/b.py",
        "lib/c.py",
        "lib/pack/__init__.py",
        "lib/pack/core.py",
        "lib/pack/found_by_name.py",
    }


def test_two_roots_with_equal_code_give_equal_digests(root, tmp_path_factory):
    import shutil

    copy = shutil.copytree(root, tmp_path_factory.mktemp("x") / "copy")
    assert code_digests(root / "run.py", root) == code_digests(copy / "run.py", copy)


def test_every_script_of_the_workflow_has_a_digest():
    digests = {path.name: code_digests(path, SCRIPTS) for path in SCRIPTS.glob("*.py")}
    assert len(digests) > 5
    for script, of_modules in digests.items():
        assert {script, "connectome/command.py"} < of_modules.keys()
        assert all(re.fullmatch("[0-9a-f]{12}", value) for value in of_modules.values())


def test_recording_does_not_depend_on_analysis():
    recorded_by = {path.stem for path in reachable(SCRIPTS / "record_activations.py", SCRIPTS)}
    assert not recorded_by & {"attribution", "ablation", "evaluation", "sbm", "graphs", "training"}


def imported(path):
    """Packages that a file imports when it is loaded (imports within functions left out)."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


LIGHT = (
    "attribute_circuit",
    "evaluate_circuit",
    "compute_covariance",
    "build_graph",
    "make_partitions",
    "make_corpus",
    "make_task",
)


def test_only_jobs_that_run_a_model_import_torch_and_none_but_training_transformers():
    for script in sorted(SCRIPTS.glob("*.py")):
        packages = imported(script).union(*map(imported, reachable(script, SCRIPTS)))
        if script.stem != "train_model":
            assert "transformers" not in packages, script.stem
        if script.stem.startswith(("tabulate_", "plot_", "build_report", *LIGHT)):
            assert "torch" not in packages, script.stem


def test_the_block_model_needs_graph_tool_numpy_and_the_standard_library_alone():
    script = SCRIPTS / "fit_sbm.py"
    packages = imported(script).union(*map(imported, reachable(script, SCRIPTS)))
    assert packages - set(sys.stdlib_module_names) == {"connectome", "graph_tool", "numpy"}


def test_parsing_the_workflow_imports_nothing_heavy():
    common = (SCRIPTS.parents[1] / "rules/common.smk").read_text()
    assert "import checkpoint, configuration, dictionary_config\n" in common
    files = reachable(SCRIPTS / "connectome/configuration.py", SCRIPTS)
    packages = set().union(*map(imported, files))
    assert not packages & {"torch", "pandas", "pyarrow", "transformers", "numpy"}
