"""Where an acquisition stands after its stages."""

from sqlalchemy import Connection

from undersky.refs import Ending, Ingested, Lane, Outcome, SceneRef, Stage
from undersky.services.ledger.history import UNLEASED, Record, Why, move_acquisition
from undersky.services.ledger.leases import Patience, end_try, locked
from undersky.services.ledger.records import AcquisitionState, Actor
from undersky.services.ledger.rows import files_json
from undersky.services.ledger.wanting import want_surface

ENDS_AS = {
    Ending.SKIPPED: AcquisitionState.SKIPPED,
    Ending.QUARANTINED: AcquisitionState.QUARANTINED,
    # A level-1 scene cannot be held: nobody could release what is not made yet.
    Ending.HELD: AcquisitionState.QUARANTINED,
    Ending.FAILED: AcquisitionState.FAILED,
}


def settle(
    connection: Connection, ref: SceneRef, outcome: Outcome, by: Actor, patience: Patience
) -> AcquisitionState:
    """The acquisition stands where its outcome puts it.

    Raises:
        LeaseLost: The lease has ended.
    """
    row = locked(connection, ref)
    if row.holder is None:
        # The same token and no holder: this very lease was settled before, by an earlier try of the step.
        return AcquisitionState(row.state)
    if outcome.ingested is not None:
        row = _ingested(connection, row, outcome.ingested, by)
    if outcome.ending == Ending.DONE:
        if outcome.stage == Stage.INGEST:
            return AcquisitionState(row.state)
        return _valid(connection, row, outcome, by)
    why = Why(outcome.reason, outcome.sentence)
    if outcome.ending == Ending.RETRY:
        return AcquisitionState(end_try(connection, row, why, by, patience))
    row = move_acquisition(connection, row, ENDS_AS[outcome.ending], why, by, not_before=None, **UNLEASED)
    return AcquisitionState(row.state)


def _ingested(connection: Connection, row: Record, ingested: Ingested, by: Actor) -> Record:
    files = files_json(ingested.files)
    if row.state == AcquisitionState.INGESTED and row.l1 == files:
        return row
    fetched = f"{ingested.bytes / 1e6:.1f} MB, {ingested.fetched / 1e6:.1f} of them fetched now"
    sentence = f"{len(ingested.files)} files, {fetched}"
    return move_acquisition(
        connection, row, AcquisitionState.INGESTED, Why("ingested", sentence), by, l1=files
    )


def _valid(connection: Connection, row: Record, outcome: Outcome, by: Actor) -> AcquisitionState:
    judged = outcome.judged
    said = f"{judged.expectations} expectations, {len(judged.failed)} failed" if judged else ""
    why = Why("valid", outcome.sentence or said)
    row = move_acquisition(connection, row, AcquisitionState.VALID, why, by, not_before=None, **UNLEASED)
    want_surface(connection, row, Why("wanted", f"{row.scene} is valid"), by, lane=Lane(row.lane))
    return AcquisitionState(row.state)
