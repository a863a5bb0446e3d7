"""The vendor register: who hands things in, by which keys they are known, how they stand."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tasks.domain.errors import InventoryError
from tasks.domain.moments import rfc3339
from tasks.domain.vendor import VendorState, VendorView, vendor_key
from tasks.inventory.rows import Run, Vendor, VendorAnswers, VendorEvent, VendorKey
from tasks.inventory.sessions import Database
from tasks.inventory.tables import (
    AssetTable,
    RunTable,
    VendorAnswersTable,
    VendorEventTable,
    VendorKeyTable,
    VendorTable,
)

REVIEW_AFTER = timedelta(days=365)
_MOVES = {
    VendorState.PROSPECTIVE: {VendorState.APPROVED, VendorState.SUSPENDED, VendorState.OFFBOARDED},
    VendorState.APPROVED: {VendorState.APPROVED, VendorState.SUSPENDED, VendorState.OFFBOARDED},
    VendorState.SUSPENDED: {VendorState.APPROVED, VendorState.OFFBOARDED},
    VendorState.OFFBOARDED: {VendorState.APPROVED},
}
"""Approving an approved vendor is its periodic review; an offboarded one may come back by it."""


class VendorRegister(Database):
    """Every question and every change is one transaction."""

    def register(self, name: str, *, contact: str = "", who: str = "", now: datetime) -> Vendor:
        """Enters a vendor as prospective unless it is known; a new contact replaces the old one.

        Returns:
            The vendor as it now stands.
        """
        vendor, dated = vendor_key(name), rfc3339(now)
        new = Vendor(vendor=vendor, name=name, contact=contact, registered=dated)
        with self._writing() as session:
            known = session.get(VendorTable, vendor)
            if known is None:
                self._insert_new(session, VendorTable, **new.model_dump(mode="json"))
                row = _locked(session, vendor)
                if _next_number(session, vendor) == 1:  # somebody else may have been faster
                    _note(session, row, who=who, dated=dated)
            elif contact and known.contact != contact:
                _locked(session, vendor).contact = contact
        return self.vendor(name)

    def move(
        self, name: str, state: VendorState, *, reason: str, who: str, now: datetime
    ) -> Vendor:
        """Moves a vendor to another state and writes down who did it and why.

        Raises:
            InventoryError: No such vendor, or no way leads from its state to that one.
        """
        vendor, dated = vendor_key(name), rfc3339(now)
        with self._writing() as session:
            row = _locked(session, vendor)
            if state not in _MOVES[VendorState(row.state)]:
                ways = ", ".join(sorted(_MOVES[VendorState(row.state)]))
                raise InventoryError(
                    f"{row.name} is {row.state} and cannot become {state}. Possible: {ways}."
                )
            row.state, row.reason = state.value, reason
            if state is VendorState.APPROVED:
                row.reviewed, row.review_due = dated, rfc3339(now + REVIEW_AFTER)
            _note(session, row, who=who, dated=dated)
        return self.vendor(name)

    def bind_key(
        self, name: str, fingerprint: str, *, kind: str, source: str, now: datetime
    ) -> None:
        """Binds a public key to a vendor; repeatable.

        Raises:
            InventoryError: No such vendor, or the key is another vendor's.
        """
        vendor = vendor_key(name)
        with self._writing() as session:
            _locked(session, vendor)
            self._insert_new(
                session, VendorKeyTable, fingerprint=fingerprint, vendor=vendor, kind=kind,
                source=source, added=rfc3339(now),
            )  # fmt: skip
            owner = session.get_one(VendorKeyTable, fingerprint).vendor
            if owner != vendor:
                raise InventoryError(
                    f"The key {fingerprint[:16]}… vouches for {owner} already. A key belongs to "
                    f"one vendor; ask {name} for a key of its own."
                )

    def note_answers(self, answers: VendorAnswers) -> None:
        """Keeps that a vendor answered a questionnaire; the same answers are kept once."""
        with self._writing() as session:
            self._insert_new(session, VendorAnswersTable, **answers.model_dump(mode="json"))

    def vendors(self) -> tuple[Vendor, ...]:
        """Returns all vendors by key."""
        return self._all(Vendor, select(VendorTable).order_by(VendorTable.vendor))

    def vendor(self, name: str) -> Vendor:
        """Returns one vendor by any spelling of its name.

        Raises:
            InventoryError: It is not registered.
        """
        query = select(VendorTable).where(VendorTable.vendor == vendor_key(name))
        found: Sequence[Vendor] = self._all(Vendor, query)
        if not found:
            raise _unknown(name)
        return found[0]

    def view(self, name: str) -> VendorView:
        """Returns what intake must know to judge a bundle of ``name``, registered or not."""
        vendors = {vendor.vendor: vendor for vendor in self.vendors()}
        owners = {key.fingerprint: key.vendor for key in self._keys_of_all()}
        known = frozenset(vendors)
        if (vendor := vendors.get(vendor_key(name))) is None:
            return VendorView(owners=owners, known=known)
        return VendorView(state=vendor.state, reason=vendor.reason, owners=owners, known=known)

    def keys(self, name: str) -> tuple[VendorKey, ...]:
        """Returns the keys that vouch for a vendor."""
        query = select(VendorKeyTable).where(VendorKeyTable.vendor == vendor_key(name))
        return self._all(VendorKey, query.order_by(VendorKeyTable.fingerprint))

    def events(self, name: str) -> tuple[VendorEvent, ...]:
        """Returns what happened to a vendor, first things first."""
        query = select(VendorEventTable).where(VendorEventTable.vendor == vendor_key(name))
        return self._all(VendorEvent, query.order_by(VendorEventTable.number))

    def answers(self, name: str) -> tuple[VendorAnswers, ...]:
        """Returns the questionnaires that a vendor answered, the latest first."""
        query = select(VendorAnswersTable).where(VendorAnswersTable.vendor == vendor_key(name))
        order = (VendorAnswersTable.dated.desc(), VendorAnswersTable.digest)
        return self._all(VendorAnswers, query.order_by(*order))

    def runs(self, name: str) -> tuple[Run, ...]:
        """Returns the runs on everything that a vendor handed in, the latest first."""
        with self._reading() as session:
            names = [
                asset.asset
                for asset in session.scalars(select(AssetTable))
                if vendor_key(asset.vendor) == vendor_key(name)
            ]
        query = select(RunTable).where(RunTable.asset.in_(names))
        return self._all(Run, query.order_by(RunTable.ledger_index.desc(), RunTable.run.desc()))

    def _keys_of_all(self) -> tuple[VendorKey, ...]:
        return self._all(VendorKey, select(VendorKeyTable))


def _locked(session: Session, vendor: str) -> VendorTable:
    query = select(VendorTable).where(VendorTable.vendor == vendor).with_for_update()
    row = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        raise _unknown(vendor)
    return row


def _next_number(session: Session, vendor: str) -> int:
    query = select(func.count()).where(VendorEventTable.vendor == vendor)
    return 1 + int(session.execute(query).scalar_one())


def _note(session: Session, row: VendorTable, *, who: str, dated: str) -> None:
    number = _next_number(session, row.vendor)
    session.add(
        VendorEventTable(
            vendor=row.vendor, number=number, state=row.state, reason=row.reason, who=who,
            dated=dated,
        )
    )  # fmt: skip


def _unknown(name: str) -> InventoryError:
    return InventoryError(
        f"{name[:200]!r} is not in the vendor register. Enter it: proofhouse vendors add NAME."
    )
