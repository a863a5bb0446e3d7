import importlib
import inspect

import pytest
import sklearn.utils

from tasks.domain.severity import Severity
from tasks.scanners.global_policy import judge_global
from tests.tasks.scanners.corpus import CALLABLES


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("collections.OrderedDict", Severity.INFO),
        ("torch._utils._rebuild_tensor_v2", Severity.INFO),
        ("numpy._core.multiarray.scalar", Severity.INFO),
        ("sklearn.svm._classes.SVC", Severity.INFO),
        ("sklearn.some.future.module.RandomForestClassifier", Severity.INFO),
        ("torch.nn.modules.linear.Linear", Severity.INFO),
        ("copy_reg._reconstructor", Severity.INFO),  # Python 2's name of copyreg
        ("mypackage.Model", Severity.MEDIUM),
        ("__main__.Net", Severity.MEDIUM),
        ("sklearn.linear_model.evil_function", Severity.MEDIUM),
        ("csv.reader", Severity.HIGH),
        ("os.system", Severity.CRITICAL),
        ("__builtin__.eval", Severity.CRITICAL),
        ("commands.getoutput", Severity.CRITICAL),
        ("torch.hub.load", Severity.CRITICAL),
        ("sklearn.datasets.RandomForestClassifier", Severity.CRITICAL),
        ("sklearn.externals.joblib.SVC", Severity.CRITICAL),
    ],
)
def test_names_are_graded(path: str, severity: Severity) -> None:
    module, _, name = path.rpartition(".")
    assert judge_global(module, name).severity is severity


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "hub.load"),
        ("torch", "jit.load"),
        ("collections", "OrderedDict.__init__"),
        ("sklearn.svm", "SVC.__init__.__globals__"),
        ("numpy", "ndarray.tofile"),
        ("pathlib", "Path.write_text"),
        ("mypackage", "Thing.__init__.__globals__"),
    ],
)
def test_walking_attributes_is_critical(module: str, name: str) -> None:
    assert judge_global(module, name).severity is Severity.CRITICAL


@pytest.mark.parametrize("path", CALLABLES)
def test_no_callable_of_the_corpus_is_allowed(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert judge_global(module, name).severity.rank >= Severity.MEDIUM.rank


def test_every_public_estimator_is_allowed() -> None:
    unknown = {
        f"{estimator.__module__}.{name}"
        for name, estimator in sklearn.utils.all_estimators()
        if judge_global(estimator.__module__, name).severity is not Severity.INFO
    }
    assert unknown == set()


@pytest.mark.parametrize("module", ["builtins", "os", "numpy", "torch", "pandas", "joblib"])
def test_no_function_that_opens_files_is_allowed(module: str) -> None:
    members = vars(importlib.import_module(module))
    suspicious = ("load", "save", "open", "read_", "exec", "eval", "fromfile", "dump", "memmap")
    allowed = {
        name
        for name, member in members.items()
        if callable(member)
        and not inspect.ismodule(member)
        and name.startswith(suspicious)
        and judge_global(module, name).severity is Severity.INFO
    }
    assert allowed == set()
