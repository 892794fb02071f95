"""A person is asked: on Airflow's page of required actions, and beside it in the registry.

    review_here  (ApprovalOperator)   parked; every two minutes it looks for an answer given elsewhere
    review_there (deferred)           looks at the version's tags every ten seconds

Whoever answers first, the answer is written to the version, and both find it there: so each closes the other.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator, Context, Param
from airflow.sdk.exceptions import TaskAwaitingInput

from undersky.errors import ConfigError
from undersky.settings import read_settings
from undersky_airflow.triggers import ReviewTrigger

if TYPE_CHECKING:
    from airflow.sdk import XComArg
    from airflow.sdk.execution_time.hitl import HITLUser

    from undersky.judgement import Verdict

LOOK_AGAIN = timedelta(minutes=2)
LONGEST = timedelta(days=30)
"""For which somebody may be asked."""
NEEDS_REASON = "A refusal without a reason is not accepted, and asked again."


def reason_param() -> dict[str, Param]:
    """The field below the two buttons."""
    return {
        "why": Param(
            "", type="string", maxLength=500, title="Why", description=f"Your reason. {NEEDS_REASON}"
        )
    }


def words(asking: "XComArg") -> dict[str, str]:
    """Subject and body as the task before wrote them, in its result."""
    task = next(operator.task_id for operator, _ in asking.iter_references())
    return {name: f"{{{{ ti.xcom_pull(task_ids='{task}')['{name}'] }}}}" for name in ("subject", "body")}


def reviewers() -> "list[HITLUser] | None":
    """Who alone may answer; None for everybody who may work with the DAG."""
    names = [name.strip() for name in (read_settings().reviewers or "").split(",") if name.strip()]
    return [{"id": name, "name": name} for name in names] or None


class Approval(ApprovalOperator):
    """Approve or reject, with a reason; what was said comes back, and the next task decides what it means."""

    ui_color = "#e8d8e0"

    def __init__(self, **kwargs: Any) -> None:
        kwargs |= {"params": reason_param(), "assigned_users": reviewers(), "execution_timeout": None}
        super().__init__(**kwargs)  # in place of the DAG's own params, which Airflow hands to every task

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """`{approved, by, why}`; a refusal without a reason is asked again."""
        if "error" in event:
            return self._unanswered()
        said = {
            "approved": event["chosen_options"] == [self.APPROVE],
            "by": (event.get("responded_by_user") or {}).get("name") or "",
            "why": str((event.get("params_input") or {}).get("why") or "").strip(),
        }
        return self._answered(context, said)

    def _unanswered(self) -> Any:
        """Parked again. To ask anew would wipe out an answer that is given in this very moment."""
        raise TaskAwaitingInput(method_name="execute_complete", timeout=self.response_timeout)

    def _answered(self, context: Context, said: dict[str, Any]) -> Any:
        if not said["approved"] and len(said["why"]) < 5:
            self.log.warning("%s", NEEDS_REASON)
            return self.execute(context)
        return said


class ReviewHere(Approval):
    """Asks about a version on Airflow's page; ends as well when it was answered elsewhere."""

    template_fields = (*ApprovalOperator.template_fields, "model", "version")

    def __init__(self, *, model: str, version: "str | XComArg", **kwargs: Any) -> None:
        super().__init__(response_timeout=LOOK_AGAIN, **kwargs)
        self.model = model
        self.version = version

    def execute(self, context: Context) -> Any:
        """Asked, unless the version carries a verdict already."""
        known = known_verdict(self.model, str(self.version))
        return known if known is not None else super().execute(context)

    def _unanswered(self) -> Any:
        known = known_verdict(self.model, str(self.version))
        return known if known is not None else super()._unanswered()

    def _answered(self, context: Context, said: dict[str, Any]) -> Any:
        try:
            return write_answer(self.model, str(self.version), said, via="airflow")
        except ConfigError as lack:
            self.log.warning("asked again: %s", lack)
            return self.execute(context)


class ReviewThere(BaseOperator):
    """Waits for an answer in the registry: the tag `review` of the version, or a verdict given elsewhere."""

    template_fields = ("model", "version")
    ui_color = "#e8d8e0"

    def __init__(self, *, model: str, version: "str | XComArg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.version = version

    def execute(self, context: Context) -> Any:
        """What was said; deferred until somebody says something."""
        return self.look_again(context, None)

    def look_again(self, context: Context, event: Mapping[str, object] | None) -> Any:  # noqa: ARG002
        """What was said, written down; an answer that lacks something is told so, and waited for again."""
        model, version = str(self.model), str(self.version)
        known = known_verdict(model, version)
        if known is not None:
            return known
        if (said := asked_for(model, version)) is not None:
            return said
        return self.defer(trigger=ReviewTrigger(model, version), method_name="look_again", timeout=LONGEST)


def known_verdict(model: str, version: str) -> dict[str, Any] | None:
    """What was answered about the version already; None if nothing."""
    from undersky.services.opened import open_registry

    registry = open_registry(read_settings())
    verdict = registry.read_verdict(registry.version(model, version))
    return None if verdict is None else _said(verdict)


def write_answer(model: str, version: str, said: Mapping[str, Any], *, via: Any) -> dict[str, Any]:
    """The answer, or the one that came first, stands on the version.

    Raises:
        ConfigError: It lacks something.
    """
    from undersky.flow.review import Answer

    answer = Answer(
        answer="approved" if said["approved"] else "rejected",
        by=said["by"],
        why=said["why"],
        via=via,
        at=datetime.now(UTC),
    )
    return _recorded(model, version, answer)


def asked_for(model: str, version: str) -> dict[str, Any] | None:
    """What the version's tag `review` says, written down; None where there is none, or it lacks something."""
    from undersky.flow.review import read_answer
    from undersky.services.opened import open_registry

    registry = open_registry(read_settings(), "release")
    there = registry.version(model, version)
    text = registry.requested_answer(there)
    if text is None:
        return None
    try:
        return _recorded(model, version, read_answer(text))
    except ConfigError as lack:
        registry.complain(there, str(lack))
        return None


def _recorded(model: str, version: str, answer: Any) -> dict[str, Any]:
    from undersky.flow.review import record_answer
    from undersky.services.opened import open_ledger, open_registry

    settings = read_settings()
    registry, ledger = open_registry(settings, "release"), open_ledger(settings)
    try:
        return _said(record_answer(registry, ledger, registry.version(model, version), answer))
    finally:
        ledger.close()


def _said(verdict: "Verdict") -> dict[str, Any]:
    return {
        "approved": verdict.answer == "approved",
        "by": verdict.by,
        "why": verdict.why,
        "via": verdict.via,
    }
