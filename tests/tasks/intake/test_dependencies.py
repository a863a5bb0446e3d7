"""Dependency files of many kinds are read alike; tricks in them are named, and nothing is run."""

import datetime as dt
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.errors import InvalidInputError, SettingsError
from tasks.domain.severity import Severity
from tasks.intake.advisories import advisory_observations, read_advisories
from tasks.intake.bom import read_bom
from tasks.intake.cvss import base_score, base_severity
from tasks.intake.dependencies import judge_dependencies
from tasks.intake.dependency import Dependency, named
from tasks.intake.lookalikes import lookalike
from tasks.intake.requirements import is_dependency_file, read_dependencies

HASH = "--hash=sha256:" + "a" * 64
NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)

READ: dict[str, tuple[str, str, set[tuple[str, str]]]] = {
    "plain": ("requirements.txt", "numpy==2.1.0\nPillow >= 10, < 12 # for images\n\n",
              {("numpy", "2.1.0"), ("pillow", "")}),
    "marker and extra": ("requirements-dev.txt",
                         'torch[opt]==2.4.0; python_version < "3.13"', {("torch", "2.4.0")}),
    "hashes over lines": ("requirements.txt", f"numpy==2.1.0 \\\n  {HASH} \\\n  {HASH}\n",
                          {("numpy", "2.1.0")}),
    "wildcard": ("constraints.txt", "numpy==2.*", {("numpy", "")}),
    "pyproject": ("pyproject.toml", ('[project]\ndependencies = ["numpy==2.1.0"]\n'
                  '[project.optional-dependencies]\nx = ["dask"]\n'
                  '[dependency-groups]\ny = ["ray", {include-group = "x"}]\n'
                  '[build-system]\nrequires = ["hatchling"]'),
                  {("numpy", "2.1.0"), ("dask", ""), ("ray", ""), ("hatchling", "")}),
    "poetry": ("pyproject.toml", ('[tool.poetry.dependencies]\npython = "^3.11"\nnumpy = "2.1.0"\n'
               'dask = "^2026.1"\nray = {version = "*"}'), {("numpy", "2.1.0"), ("dask", ""),
                                                           ("ray", "")}),
    "conda": ("environment.yml", ("dependencies:\n- python=3.11\n- numpy=2.1.0=py311_0\n"
              "- scipy=1.14\n- conda-forge::dask\n- pillow>=10\n- pip: [ray==2.9.0]"),
              {("numpy", "2.1.0"), ("scipy", ""), ("dask", ""), ("pillow", ""), ("ray", "2.9.0")}),
    "uv lock": ("uv.lock", '[[package]]\nname = "numpy"\nversion = "2.1.0"', {("numpy", "2.1.0")}),
    "pipenv lock": ("Pipfile.lock", '{"default": {"numpy": {"version": "==2.1.0"}}}',
                    {("numpy", "2.1.0")}),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_every_kind_of_file_is_read(name: str) -> None:
    path, text, wanted = READ[name]
    found = read_dependencies(text.encode(), f"deploy/{path}")
    assert {(item.name, item.pinned) for item in found.dependencies} == wanted
    assert found.oddities == ()
    assert is_dependency_file(f"deploy/{path}")


def test_hashes_and_places_are_kept() -> None:
    text = f"# first\nnumpy==2.1.0 \\\n {HASH}\nscipy==1.14.0\n"
    found = read_dependencies(text.encode(), "requirements.txt").dependencies
    assert [(item.hashed, item.place) for item in found] == [
        (True, "requirements.txt:2"),
        (False, "requirements.txt:4"),
    ]


COMMIT = "a" * 40
TRICKS = {
    "another index": ("--index-url https://packages.acme.example/simple", "foreign_index",
                      "medium"),
    "one more index": ("--extra-index-url=https://packages.acme.example", "foreign_index",
                       "medium"),
    "links": ("-f https://packages.acme.example", "foreign_index", "medium"),
    "index in clear": ("-i http://packages.acme.example", "plain_transport", "high"),
    "trusted host": ("--trusted-host packages.acme.example", "plain_transport", "high"),
    "repository": ("git+https://git.acme.example/x.git@main", "direct_source", "medium"),
    "named repository": ("x @ git+https://git.acme.example/x.git", "direct_source", "medium"),
    "fixed repository": (f"x @ git+https://git.acme.example/x.git@{COMMIT}", "fixed_source", "low"),
    "repository in clear": ("git+http://git.acme.example/x.git", "plain_transport", "high"),
    "address": ("x @ https://acme.example/x-1.0-py3-none-any.whl", "direct_source", "medium"),
    "address in clear": ("http://acme.example/x-1.0.tar.gz", "plain_transport", "high"),
    "address with hash": (f"https://acme.example/x.whl#sha256={'a' * 64}", "fixed_source", "low"),
    "editable": ("-e ./src", "direct_source", "medium"),
    "editable repository": ("--editable git+https://git.acme.example/x.git", "direct_source",
                            "medium"),
    "wheel": ("./wheels/x-1.0-py3-none-any.whl", "direct_source", "medium"),
    "file": ("x @ file:///tmp/x.whl", "direct_source", "medium"),
    "list elsewhere": ("-r https://acme.example/r.txt", "elsewhere", "medium"),
    "list above": ("-r ../../r.txt", "elsewhere", "medium"),
    "unknown option": ("--run-this thing", "unreadable_line", "low"),
    "no requirement": ("?!", "unreadable_line", "low"),
    "other alphabet": ("nump\u0443==1.0", "look_alike", "high"),
    "typing slip": ("nunpy==1.0", "look_alike", "medium"),
}  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_each_trick_has_its_own_name(name: str) -> None:
    line, rule, severity = TRICKS[name]
    clean = f"numpy==2.1.0 {HASH}"
    found = judge_dependencies([("requirements.txt", f"{clean}\n{line}\n".encode())], None)
    # What the line itself lacks (a version, a hash) is told apart.
    seen = {item.rule.rpartition(".")[2]: item.severity.value for item in found.observations}
    assert {k: v for k, v in seen.items() if k not in {"declared", "unhashed"}} == {rule: severity}
    assert all(item.detail.isprintable() and item.detail.isascii() for item in found.observations)


HARMLESS = "--pre\n--require-hashes\n-r more.txt\n--no-binary :all:\n--only-binary=:all:\n"


def test_ordinary_lists_have_only_what_they_lack_against_them() -> None:
    text = HARMLESS + f"numpy==2.1.0 {HASH}\nmy-own-package==1.0 {HASH}\n"
    found = judge_dependencies([("requirements.txt", text.encode())], None).observations
    assert [item.rule for item in found] == ["provenance.dependencies.declared"]
    found = judge_dependencies([("requirements.txt", b"numpy>=2\n")], None).observations
    assert {item.rule.rpartition(".")[2]: item.severity.value for item in found} == {
        "unpinned": "low", "unhashed": "low", "declared": "info",
    }  # fmt: skip


PYPROJECT = """
[tool.poetry.dependencies]
a = {git = "https://git.acme.example/a.git", branch = "main"}
b = {path = "../b"}
[[tool.poetry.source]]
name = "acme"
url = "https://packages.acme.example/simple"
[tool.uv.sources]
c = {url = "https://acme.example/c.whl"}
[[tool.uv.index]]
url = "http://packages.acme.example"
"""


def test_tool_tables_of_pyproject_are_looked_at() -> None:
    found = judge_dependencies([("pyproject.toml", PYPROJECT.encode())], None).observations
    seen = sorted(item.rule.rpartition(".")[2] for item in found)
    assert seen == ["declared", "direct_source", "direct_source", "direct_source", "foreign_index",
                    "plain_transport"]  # fmt: skip


BROKEN = {
    "constraints.txt": b"numpy\n" * 20_001,
    "pyproject.toml": b"[project\n",
    "uv.lock": b"a = " + b"[" * 5000,
    "environment.yml": b"a: &x [*x]",
    "Pipfile.lock": b'{"default": NaN}',
    "requirements.txt": b"\xff\xfe",
}


@pytest.mark.parametrize("path", BROKEN)
def test_broken_files_are_findings(path: str) -> None:
    found = judge_dependencies([(path, BROKEN[path])], None).observations
    assert found[0].rule == "provenance.dependencies.unreadable"


PATHS = sorted({path for path, _, _ in READ.values()})


@given(st.sampled_from(PATHS), st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(path: str, data: bytes) -> None:
    try:
        found = read_dependencies(data, path)
    except InvalidInputError:
        return
    assert all(isinstance(item, Dependency) for item in found.dependencies)
    for item in judge_dependencies([(path, data)], None).observations:
        assert item.detail.isprintable()


SLOW = ("a" * 100_000, "a==" + "1." * 50_000, "-" * 100_000, "\\\n" * 50_000, "#" * 100_000,
        "a @ https://" + "x" * 100_000, " --hash=" * 12_000, "[" * 100_000,
        "a" + "-a" * 50_000, "git+" * 25_000)  # fmt: skip


@pytest.mark.parametrize("text", SLOW)
def test_hostile_lines_take_linear_time(text: str) -> None:
    start = time.process_time()
    judge_dependencies([("requirements.txt", text.encode())], None)
    assert time.process_time() - start < 0.5


NEAR = {
    "numpi": "numpy", "nunpy": "numpy", "scikitlearn": "scikit-learn", "tensorfow": "tensorflow",
    "pytorch": "torch", "torch-dev": "torch", "python-requests": "requests", "tqmd": "tqdm",
    "learn-scikit": "scikit-learn", "nurnpy": "numpy", "0nnx": "onnx",
    "hugging_face": "huggingface-hub",
    "huggingfacehub": "huggingface-hub", "colourama": "colorama", "pydantc": "pydantic",
}  # fmt: skip
FAR = ("numpy", "scikit_learn", "SciPy", "my-own-package", "acme-vision", "jx", "torchx", "dash",
       "flashtext", "pandera", "vision-lib")  # fmt: skip


@pytest.mark.parametrize("name", NEAR)
def test_names_that_imitate_are_recognised(name: str) -> None:
    found = lookalike(name)
    assert found is not None
    assert found.known == NEAR[name]


@pytest.mark.parametrize("name", FAR)
def test_names_of_their_own_are_left_alone(name: str) -> None:
    assert lookalike(name) is None


def test_many_names_are_compared_in_little_time() -> None:
    names = "".join(f"tensorflow-package-number-{n}==1.0\n" for n in range(20_000))
    start = time.process_time()
    judge_dependencies([("requirements.txt", names.encode())], None)
    assert time.process_time() - start < 8


def osv(identifier: str, package: str, **affected: Any) -> dict[str, Any]:
    return {
        "schema_version": "1.6.0",
        "id": identifier,
        "modified": "2026-05-20T00:00:00Z",
        "summary": f"a flaw in {package}",
        "affected": [{"package": {"ecosystem": "PyPI", "name": package}} | affected],
    }


def events(*pairs: tuple[str, str], kind: str = "ECOSYSTEM") -> list[dict[str, Any]]:
    return [{"type": kind, "events": [{name: value} for name, value in pairs]}]


ZERO = ("introduced", "0")
RANGES: dict[str, tuple[dict[str, Any], dict[str, bool]]] = {
    "fixed": ({"ranges": events(ZERO, ("fixed", "1.10"))},
              {"1.9": True, "1.10": False, "1.10rc1": True, "2.0": False, "0.dev0": True}),
    "last affected": ({"ranges": events(("introduced", "1.0"), ("last_affected", "1.5"))},
                      {"0.9": False, "1.0": True, "1.5": True, "1.5.1": False}),
    "twice": ({"ranges": events(("introduced", "2.0"), ("fixed", "2.3"), ZERO, ("fixed", "1.4"))},
              {"1.3": True, "1.4": False, "2.0": True, "2.2": True, "2.3": False}),
    "limit": ({"ranges": events(ZERO, ("limit", "3"))}, {"2.9": True, "3": False}),
    "versions": ({"versions": ["1.0", "1.2.0"]}, {"1.0.0": True, "1.2": True, "1.1": False}),
    "commits": ({"ranges": events(ZERO, ("fixed", "ab" * 20), kind="GIT")}, {"1.0": False}),
    "semver": ({"ranges": events(ZERO, ("fixed", "1.2.3"), kind="SEMVER")},
               {"1.2.2": True, "1.2.3": False}),
    "no end": ({"ranges": events(("introduced", "1.0"))}, {"0.9": False, "99": True}),
    "nonsense": ({"ranges": events(("introduced", "soon"), ("fixed", "later"))}, {"1.0": False}),
    "epochs": ({"ranges": events(ZERO, ("fixed", "1!1.0"))}, {"2024.1": True, "1!1.0": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
def test_versions_are_compared_as_the_schema_says(tmp_path: Path, name: str) -> None:
    affected, cases = RANGES[name]
    place = tmp_path / "a.json"
    place.write_text(json.dumps(osv("X-1", "Foo.Bar", **affected)))
    source = read_advisories(place, ["foo-bar"])
    for version, vulnerable in cases.items():
        item = named("foo-bar", f"=={version}", "requirements.txt:1")
        found = list(advisory_observations(source, [item], now=NOW))
        hit = [each for each in found if each.rule.endswith(".vulnerable")]
        assert bool(hit) is vulnerable, version
        assert all("X-1" in each.detail and version in each.detail for each in hit)


def test_advisories_come_as_folder_zip_or_file(tmp_path: Path) -> None:
    first = osv("X-1", "numpy", versions=["1.0"])
    withdrawn = osv("X-2", "numpy", versions=["1.0"]) | {"withdrawn": "2026-01-01T00:00:00Z"}
    other = osv("X-3", "numpy", versions=["1.0"])
    other["affected"][0]["package"]["ecosystem"] = "npm"
    folder = tmp_path / "osv"
    folder.mkdir()
    for number, value in enumerate((first, withdrawn, other)):
        (folder / f"{number}.json").write_text(json.dumps(value))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    (tmp_path / "list.json").write_text(json.dumps([first, withdrawn, other]))
    for path, documents in ((folder, 3), (tmp_path / "all.zip", 3), (tmp_path / "list.json", 1)):
        source = read_advisories(path, ["NumPy"])
        assert [each.id for each in source.advisories] == ["X-1"]
        assert source.documents == documents
        assert str(source.newest) == "2026-05-20"


def test_loose_versions_may_let_a_vulnerable_one_in(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    place.write_text(json.dumps(osv("X-1", "numpy", versions=["1.0", "1.1"])))
    source = read_advisories(place, ["numpy"])
    for specifier, rules in ((">=1.1", ["possible"]), (">=2", []), ("", ["possible"])):
        item = named("numpy", specifier, "requirements.txt:1")
        found = advisory_observations(source, [item], now=NOW)
        assert [f.rule.rpartition(".")[2] for f in found if f.severity != "info"] == rules


def test_an_old_or_broken_copy_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(osv("X-1", "numpy")))
    (tmp_path / "b.json").write_text('{"affected": [{"package": {"name": "numpy"}}], "x": NaN}')
    source = read_advisories(tmp_path, ["numpy"])
    later = NOW + dt.timedelta(days=100)
    seen = {f.rule.rpartition(".")[2] for f in advisory_observations(source, [], now=later)}
    assert seen == {"source", "stale", "unreadable"}


@pytest.mark.parametrize("name", ["nowhere", "empty", "broken.zip"])
def test_a_source_that_is_none_is_the_operators_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(SettingsError, match=name):
        read_advisories(tmp_path / name, ["numpy"])


SEVERITIES: dict[str, tuple[dict[str, Any], Severity]] = {
    "word": ({"database_specific": {"severity": "CRITICAL"}}, Severity.CRITICAL),
    "moderate": ({"database_specific": {"severity": "MODERATE"}}, Severity.MEDIUM),
    "vector": ({"severity": [{"type": "CVSS_V3",
                              "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]},
               Severity.CRITICAL),
    "nobody said": ({}, Severity.MEDIUM),
    "nonsense": ({"severity": "high", "database_specific": 3}, Severity.MEDIUM),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERITIES)
def test_severities_are_those_of_the_advisory(tmp_path: Path, name: str) -> None:
    more, severity = SEVERITIES[name]
    (tmp_path / "a.json").write_text(json.dumps(osv("X-1", "numpy", versions=["1.0"]) | more))
    source = read_advisories(tmp_path, ["numpy"])
    assert [each.severity for each in source.advisories] == [severity]


# Scores as published for these CVEs: Heartbleed, Log4Shell, POODLE, and a vector without impact.
SCORES = {
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N": 7.5,
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": 10.0,
    "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:C/C:L/I:N/A:N": 3.4,
    "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N": 0.0,
    "CVSS:4.0/AV:N/AC:L": None,
    "CVSS:3.1/AV:N": None,
    "": None,
}


@pytest.mark.parametrize("vector", SCORES)
def test_scores_are_those_of_the_standard(vector: str) -> None:
    assert base_score(vector) == SCORES[vector]
    assert (base_severity(vector) is None) is (SCORES[vector] is None)


def test_the_bom_and_the_list_must_name_the_same_packages() -> None:
    library = {"type": "library", "name": "numpy", "purl": "pkg:pypi/numpy@2.0.0"}
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [library]}
    text = f"numpy==2.1.0 {HASH}\nscipy==1.14.0 {HASH}\n"
    found = judge_dependencies(
        [("requirements.txt", text.encode())],
        read_bom(json.dumps(bom).encode(), place="bom"),
        bom_path="bom",
    )
    seen = {item.rule: item.severity.value for item in found.observations}
    assert seen["provenance.bom.dependency_mismatch"] == "medium"
    assert seen["provenance.bom.undeclared_dependencies"] == "low"
    assert {(i.name, i.pinned) for i in found.declared} == {
        ("numpy", "2.1.0"), ("numpy", "2.0.0"), ("scipy", "1.14.0"),
    }  # fmt: skip
