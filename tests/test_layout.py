"""The guard rules of the layout: nobody has to remember them."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import catalogs
import flows
import tasks

ROOT = Path(__file__).parent.parent
FLOW_FILES = sorted(file for file in (ROOT / "flows").glob("*.py") if file.stem != "__init__")
TASK_FILES = sorted((ROOT / "tasks").rglob("*.py"))

# Each room may import from the rooms of its own row and of all rows above.
ROWS: tuple[frozenset[str], ...] = (
    frozenset({"domain"}),
    frozenset({"catalog"}),
    frozenset({"store", "ledger", "inventory", "sandbox"}),
    frozenset({"targets", "attacks", "detectors", "statistics", "scanners"}),
    frozenset({"checks", "intake"}),
    frozenset({"settings"}),
    frozenset({"demo", "judging", "registry", "reports", "gateway", "response"}),
    frozenset(
        {"beating", "clock", "code", "deployments", "progress", "serving", "planning", "runtime"}
        | {"prepared_database", "streams"}
    ),
    frozenset({"alarms", "approving", "casework", "comparing", "drifting", "drilling", "dropping"})
    | {"events", "forms", "nightly", "onboarding", "retaining", "reviewing", "scoring"},
    frozenset({"answering", "assuring", "cli", "commands", "curating", "governing", "guarding"})
    | {"looking", "orchestration", "responding"},
)
TOP_LEVEL = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md",
    "DECISIONS.md", "LICENSE", "Makefile", "README.md", "catalogs", "configs", "constraints.txt",
    "flows", "infra", "pyproject.toml", "tasks", "tests",
}  # fmt: skip


def imported_modules(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(file: Path) -> str:
    return file.relative_to(ROOT / "tasks").with_suffix("").parts[0]


def row_of(room: str) -> int:
    return next(index for index, row in enumerate(ROWS) if room in row)


def is_stage(file: Path) -> bool:
    return file.name == "stage.py"


def test_packages_are_the_ones_in_this_repository() -> None:
    for package in (tasks, flows, catalogs):
        assert package.__file__ is not None
        assert Path(package.__file__).resolve().parent.parent == ROOT.resolve()


def test_every_room_has_its_row() -> None:
    rooms = {room_of(file) for file in TASK_FILES} - {"__init__"}
    assert rooms <= frozenset().union(*ROWS)


def test_imports_point_one_way() -> None:
    backwards = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in TASK_FILES
        if not is_stage(file) and file.parent != ROOT / "tasks" / "__init__.py"
        for module in imported_modules(file)
        if module.startswith("tasks.")
        and room_of(file) != "__init__"
        and row_of(module.split(".")[1]) > row_of(room_of(file))
    ]
    assert backwards == []


def test_only_stages_runtime_and_streams_import_prefect_or_dask() -> None:
    orchestrators = {"prefect", "prefect_dask", "dask", "distributed", "dask_cuda"}
    strangers = [
        str(file.relative_to(ROOT))
        for file in TASK_FILES
        if not is_stage(file)
        and file.name not in {"runtime.py", "streams.py"}
        and {module.partition(".")[0] for module in imported_modules(file)} & orchestrators
    ]
    assert strangers == []


def test_checks_import_no_heavy_library() -> None:
    heavy = {"torch", "great_expectations", "art", "opacus", "sklearn", "onnx", "onnxruntime"}
    strangers = [
        str(file.relative_to(ROOT))
        for file in (ROOT / "tasks" / "checks").rglob("*.py")
        if {module.partition(".")[0] for module in imported_modules(file)} & heavy
    ]
    assert strangers == []


def test_flow_files_hold_only_constants_and_flows() -> None:
    for file in FLOW_FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                assert any("flow" in ast.unparse(mark) for mark in node.decorator_list), file
            else:
                allowed = ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr
                assert isinstance(node, allowed), f"{file}: {ast.unparse(node)[:60]}"


def test_flow_names_hide_no_module() -> None:
    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    assert not {file.stem for file in FLOW_FILES} & (taken - {"flows", "tasks", "catalogs"})


def test_every_test_folder_is_a_package() -> None:
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    missing = [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()]
    assert missing == []


def test_configs_and_infra_are_never_imported() -> None:
    strangers = [
        str(file.relative_to(ROOT))
        for file in [*TASK_FILES, *FLOW_FILES]
        if {module.partition(".")[0] for module in imported_modules(file)}
        & {"configs", "infra", "tests"}
    ]
    assert strangers == []


def test_nothing_else_stands_at_the_top() -> None:
    ignored = {line.strip("/ \n") for line in (ROOT / ".gitignore").read_text().splitlines()}
    here = {entry.name for entry in ROOT.iterdir()} - {".git", ".venv"} - ignored
    assert {name for name in here if not name.endswith("_cache")} <= TOP_LEVEL
