"""The governance commands: vendors, approvals, drops. Their work lives in ``tasks/commands/``."""

from pathlib import Path
from typing import Annotated

import typer

from tasks.answering import Answer, Json, run

vendors_app = typer.Typer(
    help="Vendors: who hands things in, their keys, standing and results.", no_args_is_help=True
)

approve_app = typer.Typer(
    help="Signed approvals with an expiry: of a risk tier, of a finding.", no_args_is_help=True
)

intake_app = typer.Typer(
    help="Bundles dropped into a folder or an S3 prefix.", no_args_is_help=True
)

Place = Annotated[str, typer.Argument(help="A folder, or *s3://bucket/prefix*.")]
Settle = Annotated[float, typer.Option(help="Seconds of quiet after which a drop is complete.")]
Battery = Annotated[str | None, typer.Option(help="Battery, for example *quick*.")]
Tier = Annotated[str | None, typer.Option(help="Risk tier: low, medium or high.")]
Expires = Annotated[str, typer.Option(help="Last day (2027-01-31) or a number of days (*90d*).")]
Signer = Annotated[str, typer.Option(help="The approver's key, as in PROOFHOUSE_SIGNER.")]
Why = Annotated[str, typer.Option("--reason", help="Why; signed and shown in every report.")]
Name = Annotated[str, typer.Argument(help="The vendor's name, in any spelling.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the register.")]
By = Annotated[str, typer.Option("--by", help="Who decides; you, when left out.")]


@vendors_app.command("list", epilog="Example: `proofhouse vendors list`")
def vendors_list(json_: Json = False) -> None:
    """List vendors with state, next review and latest verdict."""

    def work() -> Answer:
        from tasks.commands.vendors import list_answer  # noqa: PLC0415

        return list_answer()

    run(work, json_)


@vendors_app.command("show", epilog="Example: `proofhouse vendors show 'Acme Vision'`")
def vendors_show(name: Name, json_: Json = False) -> None:
    """Show one vendor: contact, keys, history, questionnaires, runs and verdicts."""

    def work() -> Answer:
        from tasks.commands.vendors import show_answer  # noqa: PLC0415

        return show_answer(name)

    run(work, json_)


@vendors_app.command(
    "add", epilog="Example: `proofhouse vendors add 'Acme Vision' --contact security@acme.example`"
)
def vendors_add(
    name: Name,
    contact: Annotated[str, typer.Option(help="Where incidents are reported to.")] = "",
    key: Annotated[Path | None, typer.Option(help="PEM public key it signs with.")] = None,
    by: By = "",
    json_: Json = False,
) -> None:
    """Enter a vendor as prospective, with the key that vouches for it."""

    def work() -> Answer:
        from tasks.commands.vendors import add_answer  # noqa: PLC0415

        return add_answer(name, contact=contact, key=key, by=by)

    run(work, json_)


@vendors_app.command("trust", epilog="Example: `proofhouse vendors trust 'Acme Vision' acme.pub`")
def vendors_trust(
    name: Name,
    key: Annotated[Path, typer.Argument(help="PEM public key (P-256, P-384 or P-521).")],
    json_: Json = False,
) -> None:
    """Bind a public key to one vendor; for any other vendor it vouches no more."""

    def work() -> Answer:
        from tasks.commands.vendors import trust_answer  # noqa: PLC0415

        return trust_answer(name, key)

    run(work, json_)


@vendors_app.command(
    "approve", epilog="Example: `proofhouse vendors approve 'Acme Vision' --reason 'contract 4711'`"
)
def vendors_approve(name: Name, reason: Reason = "", by: By = "", json_: Json = False) -> None:
    """Approve a vendor, reinstate it, or renew its yearly review."""
    _move(name, "approved", reason=reason, by=by, json_=json_)


@vendors_app.command(
    "suspend", epilog="Example: `proofhouse vendors suspend 'Acme Vision' --reason 'key leaked'`"
)
def vendors_suspend(name: Name, reason: Reason = "", by: By = "", json_: Json = False) -> None:
    """Withdraw trust: every further bundle of the vendor is refused, with this reason."""
    _move(name, "suspended", reason=reason, by=by, json_=json_)


@vendors_app.command(
    "offboard", epilog="Example: `proofhouse vendors offboard 'Acme Vision' --reason 'ended'`"
)
def vendors_offboard(name: Name, reason: Reason = "", by: By = "", json_: Json = False) -> None:
    """End the relation with a vendor; its bundles are refused from now on."""
    _move(name, "offboarded", reason=reason, by=by, json_=json_)


def _move(name: str, state: str, *, reason: str, by: str, json_: bool) -> None:
    def work() -> Answer:
        from tasks.commands.vendors import move_answer  # noqa: PLC0415

        return move_answer(name, state, reason=reason, by=by)

    run(work, json_)


@approve_app.command(
    "tier",
    epilog="Example: `proofhouse approve tier 'Acme Vision/digit-reader@1.2.0' --tier low "
    "--reason 'internal pilot, no personal data' --expires 90d --by 'Eve, risk'`",
)
def approve_tier(
    asset: Annotated[str, typer.Argument(help="Asset id; see *inventory assets*.")],
    *,
    tier: Annotated[str, typer.Option(help="low, medium or high.")],
    reason: Why,
    expires: Expires,
    by: By = "",
    signer: Signer = "",
    json_: Json = False,
) -> None:
    """Approve another risk tier for an asset than its answers lead to."""

    def work() -> Answer:
        from tasks.commands.approve import tier_answer  # noqa: PLC0415

        return tier_answer(asset, tier, reason=reason, expires=expires, by=by, signer=signer)

    run(work, json_)


@approve_app.command(
    "finding",
    epilog="Example: `proofhouse approve finding run-0123456789abcdef0123 extraction.fidelity "
    "--reason 'only own staff can query it' --expires 2027-01-31`",
)
def approve_finding(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run id; see *inventory runs*.")],
    check: Annotated[str, typer.Argument(help="Check id, as the report names it.")],
    *,
    reason: Why,
    expires: Expires,
    by: By = "",
    signer: Signer = "",
    json_: Json = False,
) -> None:
    """Accept the risk of one finding, as it was measured, until a day. Then onboard again."""

    def work() -> Answer:
        from tasks.commands.approve import finding_answer  # noqa: PLC0415

        return finding_answer(run_id, check, reason=reason, expires=expires, by=by, signer=signer)

    run(work, json_)


@approve_app.command(
    "step",
    epilog="Example: `proofhouse approve step case-0123456789abcdef0123 vendor_gate "
    "--reason 'delivery was hostile' --expires 7d --by 'Eve, CISO'`",
)
def approve_step(
    case: Annotated[str, typer.Argument(help="Case id; see *cases list*.")],
    step: Annotated[str, typer.Argument(help="Gate of its playbook.")],
    *,
    reason: Why,
    expires: Expires = "7d",
    deny: Annotated[bool, typer.Option("--deny", help="Say no instead.")] = False,
    by: By = "",
    signer: Signer = "",
    json_: Json = False,
) -> None:
    """Answer a gate of a case, signed. Then resume the case: proofhouse respond."""

    def work() -> Answer:
        from tasks.commands.approve import step_answer  # noqa: PLC0415

        return step_answer(
            case, step, granted=not deny, reason=reason, expires=expires, by=by, signer=signer
        )

    run(work, json_)


@approve_app.command("list", epilog="Example: `proofhouse approve list`")
def approve_list(json_: Json = False) -> None:
    """List approvals with who gave them, and whether each counts now."""

    def work() -> Answer:
        from tasks.commands.approve import list_answer  # noqa: PLC0415

        return list_answer()

    run(work, json_)


@intake_app.command("once", epilog="Example: `proofhouse intake once intake/`")
def intake_once(
    drop: Place, *, settle: Settle = 30, battery: Battery = None, tier: Tier = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Onboard every complete drop that was not taken in before; say what became of each."""

    def work() -> Answer:
        from tasks.commands.intake import once_answer  # noqa: PLC0415

        return once_answer(drop, settle=settle, battery=battery, tier=tier)

    run(work, json_)


@intake_app.command("watch", epilog="Example: `proofhouse intake watch s3://bucket/intake`")
def intake_watch(
    drop: Place, *, every: Annotated[float, typer.Option(help="Seconds between passes.")] = 30,
    settle: Settle = 30, battery: Battery = None, tier: Tier = None, json_: Json = False,
) -> None:  # fmt: skip
    """Do the same again and again until interrupted."""

    def work() -> Answer:
        from tasks.commands.intake import watch_answer  # noqa: PLC0415

        return watch_answer(drop, every=every, settle=settle, battery=battery, tier=tier)

    run(work, json_)
