"""Every noun comes back from its own bytes, and says no to what it must not hold."""

import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.domain.digest import Digest, digest_of, digest_of_file, hexadecimal
from tasks.domain.errors import EvidenceError, ProofhouseError
from tasks.domain.estimate import Estimate
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding, Outcome, References, Verdict
from tasks.domain.frozen import Frozen, canonical_json
from tasks.domain.ids import is_entry_id
from tasks.domain.measurement import Artifact, Control, Cost, Measurement, Observation, Status
from tasks.domain.run import Reference, RunRecord
from tasks.domain.severity import Severity
from tasks.domain.spec import CheckSpec, RunPlan
from tasks.ledger.rejections import LedgerError
from tasks.serving import ServerError

finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 2**53)
# Long texts prove nothing that short hostile ones do not.
text = st.text(max_size=20) | st.sampled_from(
    ["<script>", "\u202egnp.exe", "\x1b[31m", "\x00", "é"]
)
texts = st.lists(text, max_size=3).map(tuple)
ids = st.from_regex(r"\A[a-z][a-z0-9_]{0,8}(\.[a-z][a-z0-9_]{0,8}){1,2}\Z")
digests = st.binary(max_size=8).map(digest_of)
values = st.booleans() | st.integers(-(2**53), 2**53) | finite | text

estimates = st.builds(
    lambda three, confidence, n: Estimate(
        low=three[0], value=three[1], high=three[2], confidence=confidence, n=n
    ),
    st.lists(finite, min_size=3, max_size=3).map(sorted),
    st.floats(0.5, 0.999999),
    whole,
)
severities = st.sampled_from(Severity)
observations = st.builds(Observation, rule=text, severity=severities, detail=text, location=text)
controls = st.builds(
    Control,
    name=text,
    planted=st.booleans(),
    found=st.booleans(),
    estimate=st.none() | estimates,
    detail=text,
)
artifacts = st.builds(
    Artifact, name=text, title=text, media_type=text, digest=digests, size_bytes=whole
)
costs = st.builds(Cost, passes=whole, queries=whole)
measured = st.builds(
    Measurement,
    check=ids,
    version=st.integers(1, 99),
    status=st.just(Status.MEASURED),
    detail=text,
    estimates=st.dictionaries(text, estimates, max_size=3),
    observations=st.lists(observations, max_size=3).map(tuple),
    controls=st.lists(controls, max_size=2).map(tuple),
    alarms=texts,
    limits=texts,
    method=text,
    facts=st.dictionaries(text, st.none() | values, max_size=4),
    artifacts=st.lists(artifacts, max_size=2).map(tuple),
    cost=costs,
)
unmeasured = st.builds(
    Measurement,
    check=ids,
    version=st.integers(1, 99),
    status=st.sampled_from([status for status in Status if status is not Status.MEASURED]),
    detail=text.filter(bool),
)
references = st.builds(
    References,
    atlas=texts,
    owasp_ml=texts,
    owasp_llm=texts,
    nist_ai_rmf=texts,
    nist_ai_100_2=texts,
)
findings = st.builds(
    Finding,
    check=ids,
    outcome=st.sampled_from(Outcome),
    severity=severities,
    question=text,
    estimate=st.none() | estimates,
    threshold=st.none() | finite,
    references=references,
    evidence=st.lists(digests, max_size=3).map(tuple),
    detail=text,
    remediation=text,
)
specs = st.builds(
    CheckSpec,
    check=ids,
    version=st.integers(1, 99),
    parameters=st.dictionaries(text, values, max_size=4),
    seed=st.integers(-(2**53), 2**53),
    inputs=st.dictionaries(text, digests, max_size=3),
    code=digests,
    sandbox=text,
)
plans = st.builds(
    RunPlan,
    bundle=digests,
    asset=text,
    tier=text,
    battery=ids,
    battery_digest=digests,
    policy=ids,
    policy_digest=digests,
    occasion=text,
    attempt=st.integers(1, 99),
    checks=st.lists(specs, max_size=2).map(tuple),
)
executions = st.builds(
    Execution,
    check=ids,
    spec=digests,
    measurement=digests,
    seconds=st.floats(0, 1e6),
    reused=st.booleans(),
    sandbox=text,
)
decisions = st.builds(Decision, verdict=st.sampled_from(Verdict), reasons=texts, conditions=texts)
records = st.builds(
    RunRecord,
    run=text,
    asset=text,
    tier=text,
    subject=digests,
    plan=plans,
    findings=st.lists(findings, max_size=2).map(tuple),
    decision=decisions,
    executions=st.lists(executions, max_size=2).map(tuple),
    objects=st.lists(
        st.builds(Reference, role=text, digest=digests, size_bytes=whole, version=st.none() | text),
        max_size=2,
    ).map(tuple),
    sandbox=st.dictionaries(text, text, max_size=2),
    store=st.dictionaries(text, text, max_size=2),
    started=text,
    sealed=text,
)
nouns = st.one_of(
    estimates,
    observations,
    controls,
    measured,
    unmeasured,
    findings,
    specs,
    plans,
    executions,
    decisions,
    records,
)


@settings(max_examples=60)
@given(nouns)
def test_a_noun_comes_back_from_its_bytes(noun: Frozen) -> None:
    data = noun.canonical()
    again = type(noun).parse(data)
    assert again == noun
    assert again.canonical() == data


@settings(max_examples=60)
@given(nouns)
def test_a_noun_survives_the_way_to_another_process(noun: Frozen) -> None:
    assert pickle.loads(pickle.dumps(noun)) == noun


@given(st.dictionaries(text, values, min_size=2, max_size=5), st.randoms())
def test_canonical_bytes_do_not_depend_on_order(table: dict[str, Any], chance: Any) -> None:
    shuffled = list(table.items())
    chance.shuffle(shuffled)
    assert canonical_json(dict(shuffled)) == canonical_json(table)


@settings(max_examples=20)
@given(plans)
def test_a_run_is_named_by_all_of_its_plan(plan: RunPlan) -> None:
    assert plan.run == RunPlan.parse(plan.canonical()).run
    assert plan.run != plan.model_copy(update={"attempt": plan.attempt + 1}).run
    assert plan.run != plan.model_copy(update={"policy_digest": digest_of(b"other policy")}).run


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_infinite_or_undefined(value: float) -> None:
    with pytest.raises(ValidationError):
        Estimate(value=value, low=value, high=value, n=1)
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": value})


@given(st.tuples(finite, finite, finite).filter(lambda three: list(three) != sorted(three)))
def test_an_estimate_lies_inside_its_interval(three: tuple[float, float, float]) -> None:
    low, value, high = three
    with pytest.raises(ValidationError, match="outside its interval"):
        Estimate(low=low, value=value, high=high, n=1)


@given(finite, whole)
def test_a_counted_number_has_no_width(value: float, n: int) -> None:
    exact = Estimate.exact(value, n=n)
    assert exact.low == exact.value == exact.high


@given(estimates)
def test_nouns_cannot_change_or_grow(estimate: Estimate) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        estimate.value = 0.5  # type: ignore[misc]  # the plugin knows that it is frozen, too
    with pytest.raises(ValidationError, match="Extra inputs"):
        Estimate.model_validate({**estimate.model_dump(), "colour": "blue"})


def test_a_lone_surrogate_is_refused_before_it_reaches_evidence() -> None:
    with pytest.raises(UnicodeEncodeError):
        Observation(rule="r", severity=Severity.LOW, detail="\ud800").canonical()


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.MEASURED])
def test_silence_needs_a_reason_and_has_no_numbers(status: Status) -> None:
    with pytest.raises(ValidationError, match="has a reason and no estimates"):
        Measurement(check="a.b", version=1, status=status, detail="")
    with pytest.raises(ValidationError, match="has a reason and no estimates"):
        Measurement(
            check="a.b",
            version=1,
            status=status,
            detail="why",
            estimates={"rate": Estimate.exact(1, n=1)},
        )


@given(st.binary(max_size=200))
def test_bytes_have_one_digest(data: bytes) -> None:
    digest = digest_of(data)
    assert hexadecimal(digest) == digest.split(":")[1]
    assert len(hexadecimal(digest)) == 64
    assert digest == digest_of(bytes(data))
    assert digest != digest_of(data + b"\x00")


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(data)
    assert digest_of_file(tmp_path / "file") == digest_of(data)


@given(text | st.just("sha256:" + "A" * 64) | st.just("sha256:" + "0" * 64 + "\n"))
def test_only_a_digest_is_a_digest(name: str) -> None:
    with pytest.raises(ValidationError):
        Reference(role="r", digest=Digest(name), size_bytes=0)


@given(ids)
def test_entry_ids_are_dotted(name: str) -> None:
    assert is_entry_id(name)
    assert not is_entry_id(name.upper())
    assert not is_entry_id(name.replace(".", "/"))
    assert not is_entry_id(f"{name}\n")
    assert not is_entry_id(f"{name}.")


def test_severities_rise() -> None:
    assert [severity.rank for severity in Severity] == [0, 1, 2, 3, 4]


@given(st.booleans(), st.booleans())
def test_a_control_holds_when_the_answer_is_the_known_one(planted: bool, found: bool) -> None:
    assert Control(name="c", planted=planted, found=found).held is (planted is found)


ELSEWHERE = (EvidenceError, LedgerError, ServerError)
"""Named so that the modules that define errors of their own are imported."""


def all_errors(kind: type[ProofhouseError] = ProofhouseError) -> list[type[ProofhouseError]]:
    return [kind, *(error for child in kind.__subclasses__() for error in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_errors_travel_between_processes(kind: type[ProofhouseError]) -> None:
    again = pickle.loads(pickle.dumps(kind("what, where, how to mend")))
    assert type(again) is kind
    assert (again.message, str(again)) == ("what, where, how to mend",) * 2
    assert again.code == kind.code


def test_error_codes_are_dotted_and_never_shared() -> None:
    assert set(ELSEWHERE) <= set(all_errors())
    own = [kind.code for kind in all_errors() if "code" in vars(kind)]
    assert all(is_entry_id(code) for code in own)
    assert len(set(own)) == len(own)
