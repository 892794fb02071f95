"""Buttons on a task: products, Data Docs, a model version, a review page and the page of a run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink

from undersky.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


@runtime_checkable
class Addressed(Protocol):
    """An operator that found out addresses while it ran."""

    addresses: Mapping[str, str]
    """Address by the name of its link."""


class _BatchLink(BaseOperatorLink):
    """Airflow asks once, when the task has ended, and keeps the answer."""

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:  # noqa: ARG002
        """The address, empty where the task found none."""
        return operator.addresses.get(self.name, "") if isinstance(operator, Addressed) else ""


class ProductsLink(_BatchLink):
    """The published Items."""

    name = "Products"


class DataDocsLink(_BatchLink):
    """What the expectations said of the batch."""

    name = "Data Docs"


class ModelLink(_BatchLink):
    """The registry's page of the model version that the run pinned."""

    name = "Model version"


class ReportLink(_BatchLink):
    """The page on which candidate and champion are compared."""

    name = "Report"


class RunPageLink(_BatchLink):
    """The page on which all that the run made can be seen."""

    name = "Page of this run"


LINKS = (ProductsLink(), DataDocsLink(), ModelLink(), ReportLink(), RunPageLink())
PRODUCTS, DATA_DOCS, MODEL_VERSION, REPORT, RUN_PAGE = LINKS


def public(href: str | None, settings: Settings) -> str | None:
    """What lies in the own bucket, as a browser reaches it; None where there is no way to it."""
    if href is None or not href.startswith("s3://"):
        return href
    if settings.public_url is None or settings.public_url.startswith("s3://"):
        return None
    return f"{settings.public_url.rstrip('/')}/{urlsplit(href).path.lstrip('/')}"
