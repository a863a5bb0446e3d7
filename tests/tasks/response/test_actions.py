"""What actions do to the world, twice and undone, and what they say when they cannot."""

import importlib
import json
import pkgutil
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.domain.case import Said
from tasks.domain.digest import digest_of
from tasks.domain.snapshot import RegistryEntry, Snapshot
from tasks.gateway.telemetry import claim_part
from tasks.inventory.vendors import VendorRegister
from tasks.ledger.envelope import Moment, read_envelope, verify_envelope
from tasks.ledger.keys import trusted_keys
from tasks.ledger.statement import moment_of
from tasks.registry.registering import Why, promote, register
from tasks.response import actions
from tasks.response.acting import Acted, ActionError, Order, World, action, undoing
from tasks.response.actions.evidence.snapshot import PAYLOAD_TYPE
from tests.services.processes import wait_until
from tests.tasks.inventory.records import ASSET
from tests.tasks.registry.homes import MODEL, new_home
from tests.tasks.response.cases import DETECTED, incident, world
from tests.tasks.response.receivers import Receiver, mail_server, serving, syslog_server

MODULES = sorted(
    name.removeprefix("tasks.response.actions.")
    for _, name, package in pkgutil.walk_packages(actions.__path__, "tasks.response.actions.")
    if not package
)


def order(step: str = "step", **parameters: Said) -> Order:
    return Order(
        key=f"case-1/{step}",
        case="case-1",
        step=step,
        incident=incident(title="A trigger\r\nBcc: everyone@example.org"),
        parameters=parameters,
        by="test",
    )


def done(name: str, order_: Order, place: World) -> Acted:
    assert action(name).preview(order_, place)
    return action(name).act(order_, place)


@pytest.mark.parametrize("name", MODULES)
def test_every_action_has_the_face_of_one(name: str) -> None:
    module = importlib.import_module(f"tasks.response.actions.{name}")
    assert callable(module.preview)
    assert callable(module.act)
    assert action(name) is module


def test_every_playbook_calls_actions_that_exist() -> None:
    catalog = Catalog()
    called = {
        step.action.name
        for name in catalog.ids("playbooks")
        for step in catalog.playbook(name).steps
        if step.action
    }
    assert called <= set(MODULES)


@pytest.mark.parametrize("name", ["os.system", "inventory.nothing", "..acting", "inventory"])
def test_nothing_else_is_an_action(name: str) -> None:
    with pytest.raises(ActionError, match="there is no action"):
        action(name)


def test_a_vendor_is_suspended_once_and_back(tmp_path: Path) -> None:
    place = world(tmp_path)
    register = VendorRegister(place.database)
    register.register("Acme Vision", now=DETECTED)
    called = order(vendor="Acme Vision")
    first, again = done("vendors.suspend", called, place), done("vendors.suspend", called, place)
    assert register.vendor("Acme Vision").state.value == "suspended"
    assert first.undo == again.undo == {"state": "prospective"}
    back = undoing("vendors.suspend")
    assert back is not None
    assert "approved again" in back(called, again.undo, place)


def test_a_key_is_rotated_once_for_a_step(tmp_path: Path) -> None:
    place = world(tmp_path)
    before = place.signer().public_key.keyid
    said = done("keys.rotate", order(), place).said["keyid"]
    assert done("keys.rotate", order(), place).said["keyid"] == said
    assert place.signer().public_key.keyid == said != before
    assert undoing("keys.rotate") is None


def test_a_rotation_that_died_half_way_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = world(tmp_path)
    old = place.signer().public_key.keyid

    def dies(home: Path) -> None:
        (home / "keys" / "signing.pem").rename(home / "keys" / "retired.pem")
        (home / "keys" / "signing.pub").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tasks.response.actions.keys.rotate.rotate_key", dies)
        with pytest.raises(KeyboardInterrupt):
            action("keys.rotate").act(order(), place)
    said = action("keys.rotate").act(order(), place).said["keyid"]
    assert place.signer().public_key.keyid == said != old


def test_a_key_that_is_kept_elsewhere_is_not_rotated_from_here(tmp_path: Path) -> None:
    with pytest.raises(ActionError, match="Rotate it there"):
        done("keys.rotate", order(), world(tmp_path))


def _taken(payload: bytes) -> Moment:
    return Moment(moment_of(json.loads(payload)["custody"]["taken"], place="the snapshot"))


def test_a_snapshot_names_what_there_is_and_is_signed(tmp_path: Path) -> None:
    place = world(tmp_path)
    first = done("evidence.snapshot", order(asset=ASSET), place)
    again = done("evidence.snapshot", order(asset=ASSET), place)
    assert first.evidence == again.evidence
    opened = verify_envelope(
        place.store.get(first.evidence[0]),
        payload_type=PAYLOAD_TYPE,
        trust=trusted_keys(place.home),
        dated=_taken,
        place="the snapshot",
    )
    kept = Snapshot.parse(opened.payload)
    assert kept.asset["asset"] == ASSET
    assert [run["asset"] for run in kept.runs] == [ASSET]
    assert kept.registry == RegistryEntry(
        model="Acme Vision/digit-reader", problem="no registry is set up here"
    )


def test_a_snapshot_names_the_telemetry_of_the_days_that_count(tmp_path: Path) -> None:
    place = world(tmp_path)
    days = {"2026-10-24": False, "2026-10-25": True, "2026-11-01": True, "2999-01-01": False}
    for day in days:
        for gateway in ("digit-reader", "other"):
            digest = place.store.put(f"{gateway} {day}".encode()).digest
            place.store.claim(f"telemetry/{claim_part(gateway)}/{day}/spool", digest.encode())
    kept = snapshot_of(done("evidence.snapshot", order(asset=ASSET), place), place)
    assert kept.telemetry is not None
    name = claim_part("digit-reader")
    assert kept.telemetry.accounts == ("partner-1", "partner-2")
    assert kept.telemetry.since == "2026-10-25"
    assert kept.telemetry.parts == {
        f"telemetry/{name}/{day}/spool": digest_of(f"digit-reader {day}".encode())
        for day, counts in days.items()
        if counts
    }


def test_a_snapshot_names_where_the_version_stands_and_every_link_of_its_log(
    tmp_path: Path,
) -> None:
    home = new_home(tmp_path)
    why = Why("a test", by="tester")
    register(home.seal().run, home.registry, why)
    state = promote(f"{MODEL}@1", "canary", home.registry, why)
    (tmp_path / "place").mkdir()
    place = world(tmp_path / "place")._replace(
        store=home.store, database=home.registry.database, registry=home.registry
    )
    kept = snapshot_of(done("evidence.snapshot", order(asset=f"{MODEL}@1"), place), place)
    assert kept.registry == RegistryEntry(
        model=MODEL,
        alias="canary",
        registered=state.links[0].statement,
        held={"canary": f"{MODEL}@1"},
        links=tuple(link.statement for link in state.links),
        head_index=state.links[-1].ledger_index,
    )


def test_a_chain_that_does_not_verify_is_told_and_stops_no_snapshot(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    register(home.seal().run, home.registry, Why("a test", by="tester"))
    for key in (home.path / "keys" / "trusted").iterdir():
        key.unlink()
    (tmp_path / "place").mkdir()
    place = world(tmp_path / "place")._replace(
        store=home.store, database=home.registry.database, registry=home.registry
    )
    kept = snapshot_of(done("evidence.snapshot", order(asset=f"{MODEL}@1"), place), place)
    assert kept.registry is not None
    assert kept.registry.problem
    assert kept.registry.links == ()


def test_a_snapshot_of_before_can_be_read() -> None:
    first = {
        "schema": "proofhouse.snapshot/1", "incident": incident().model_dump(mode="json"),
        "case": "case-1", "asset": {"asset": ASSET}, "runs": [], "objects": {"run-1": {}},
        "custody": {"taken": "2026-11-01T06:00:00+00:00", "by": "eve", "on": "host"},
    }  # fmt: skip
    kept = Snapshot.parse(json.dumps(first).encode())
    assert (kept.telemetry, kept.registry) == (None, None)


def snapshot_of(acted: Acted, place: World) -> Snapshot:
    (digest,) = acted.evidence
    data = place.store.get(digest)
    return Snapshot.parse(read_envelope(data, payload_type=PAYLOAD_TYPE, place="it").payload)


def test_a_mail_is_the_same_mail_each_time(tmp_path: Path) -> None:
    with serving(mail_server()) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        place = world(tmp_path, smtp=host, mail_from="p@example.org", mail_to=("soc@example.org",))
        for _ in range(2):
            done("notify.email", order(text="Look at this."), place)
    first, again = (message_from_string(text) for text in server.mails)
    assert first["Message-ID"] == again["Message-ID"]
    assert first["Bcc"] is None
    assert first["To"] == "soc@example.org"
    assert "partner-1, partner-2" in first.get_payload()


def test_a_webhook_is_told_with_the_key_of_the_step(tmp_path: Path) -> None:
    with serving(Receiver()) as server:
        place = world(tmp_path, webhook=f"{server.url}/hook")
        done("notify.webhook", order(text="Look at this."), place)
        server.status = 503
        with pytest.raises(ActionError, match="did not take the message"):
            done("notify.webhook", order(text="Look at this."), place)
    _, path, headers, body = server.heard[0]
    assert (path, headers["Idempotency-Key"]) == ("/hook", "case-1/step")
    assert body["asset"] == ASSET


def test_deployments_are_frozen_and_only_those_that_ran_are_thawed(tmp_path: Path) -> None:
    with serving(Receiver()) as server:
        place = world(tmp_path)._replace(prefect_url=server.url)
        done("orchestration.freeze", order(), place)
        again = done("orchestration.freeze", order(), place)
        assert [row["paused"] for row in server.deployments] == [True, True]
        back = undoing("orchestration.freeze")
        assert back is not None
        back(order(), again.undo, place)
        assert [row["paused"] for row in server.deployments] == [False, True]
        with pytest.raises(ActionError, match="no deployment is called nightly"):
            done("orchestration.freeze", order(deployments=("nightly",)), place)


def test_a_flow_is_started_once_for_a_step(tmp_path: Path) -> None:
    called = order(
        deployment="assess-asset", target=ASSET, named="data", settings='{"battery": "privacy"}'
    )
    with serving(Receiver()) as server:
        place = world(tmp_path)._replace(prefect_url=server.url)
        assert done("orchestration.start", called, place).said == {"flow_run": "f-1"}
        with pytest.raises(ActionError, match="no deployment is called nothing"):
            done("orchestration.start", order(deployment="nothing"), place)
        with pytest.raises(ActionError, match="no JSON object"):
            done("orchestration.start", order(deployment="assess-asset", settings="{"), place)
    asked = next(body for _, path, _, body in server.heard if path.endswith("create_flow_run"))
    assert asked["idempotency_key"] == "case-1/step"
    assert asked["parameters"] == {"data": ASSET, "battery": "privacy"}


EVENT = {"activity": "create", "severity": "critical", "text": "A model is compromised."}


def test_the_siem_is_told_in_a_file_once(tmp_path: Path) -> None:
    log = tmp_path / "siem" / "events.jsonl"
    place = world(tmp_path, siem=f"file:{log}")
    for step in ("create", "create", "other"):
        done("siem.ocsf", order(step, **EVENT, techniques=("AML.T0018.000",)), place)
    first, other = (json.loads(line) for line in log.read_text().splitlines())
    assert [each["metadata"]["uid"] for each in (first, other)] == ["case-1/create", "case-1/other"]
    event = first
    assert (event["class_uid"], event["type_uid"], event["severity_id"]) == (2005, 200501, 5)
    assert event["metadata"]["correlation_uid"] == "case-1"


def test_the_siem_is_told_by_syslog_and_http(tmp_path: Path) -> None:
    with serving(syslog_server()) as server:
        place = world(tmp_path, siem=f"tcp://127.0.0.1:{server.server_address[1]}")
        done("siem.ocsf", order(**EVENT), place)
        wait_until(lambda: bool(server.lines), what="the line")
    size, _, frame = server.lines[0].partition(b" ")
    assert int(size) == len(frame)
    assert frame.startswith(b"<109>1 ")
    with serving(Receiver()) as receiver:
        done("siem.ocsf", order(**EVENT), world(tmp_path, siem=receiver.url))
    assert receiver.heard[0][3]["class_uid"] == 2005


UNREACHABLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "no relay": ("notify.email", {}, "mail is not set up"),
    "no webhook": ("notify.webhook", {}, "there is no webhook"),
    "no siem": ("siem.ocsf", {}, "there is no SIEM"),
    "a siem of no kind": ("siem.ocsf", {"siem": "carrier:pigeon"}, "needed"),
    "a siem that is away": ("siem.ocsf", {"siem": "tcp://127.0.0.1:1"}, "did not take"),
    "a webhook that is away": ("notify.webhook", {"webhook": "http://127.0.0.1:1"}, "did not take"),
    "no API": ("orchestration.freeze", {}, "no Prefect API"),
    "a relay that is away": (
        "notify.email",
        {"smtp": "127.0.0.1:1", "mail_from": "p@example.org", "mail_to": ("s@example.org",)},
        "did not take the mail",
    ),
}


@pytest.mark.parametrize(("name", "channels", "words"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_what_cannot_be_reached_is_said(
    tmp_path: Path, name: str, channels: dict[str, Any], words: str
) -> None:
    with pytest.raises(ActionError, match=words):
        action(name).act(order(**EVENT), world(tmp_path, **channels))
