"""What a step is to Airflow: a function that runs inside its task, with the links that it found."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, cast

from airflow.sdk import BaseOperator, BaseOperatorLink, Context, XComArg, get_current_context
from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory


class Declared(Protocol):
    """A step, as a DAG uses it."""

    def __call__(self, *args: object, **kwargs: object) -> XComArg:
        """The task; its result."""
        ...

    def override(self, **kwargs: object) -> "Declared":
        """The step with other properties of its task."""
        ...


class _Call(BaseOperator):
    """Calls the function that it was given."""

    def __init__(
        self, *, python_callable: Callable[..., object], op_args: Any, op_kwargs: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.python_callable = python_callable
        self.op_args: Collection[Any] = op_args
        self.op_kwargs: Mapping[str, Any] = op_kwargs

    def execute(self, context: Context) -> object:  # noqa: ARG002  functions ask for it
        return self.python_callable(*self.op_args, **self.op_kwargs)


class StepOperator(DecoratedOperator, _Call):
    """A step, with the links whose addresses it finds out."""

    custom_operator_name = "@step"
    ui_color = "#e8e4d0"
    addresses: Mapping[str, str] = {}
    """Address by the name of its link, once it ran."""

    def __init__(
        self,
        *,
        python_callable: Callable[..., object],
        op_args: Any,
        op_kwargs: Any,
        links: Sequence[BaseOperatorLink] = (),
        **kwargs: Any,
    ) -> None:
        parts = {"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs}
        super().__init__(kwargs_to_upstream=parts, **parts, **kwargs)
        self.operator_extra_links = tuple(links)


def step(**properties: object) -> Callable[[Callable[..., object]], Declared]:
    """Makes a function a step; what it returns is small and goes into XCom."""

    def declare(function: Callable[..., object]) -> Declared:
        made = task_decorator_factory(
            function, multiple_outputs=False, decorated_operator_class=StepOperator, **properties
        )
        return cast("Declared", made)

    return declare


def found_out(**addresses: str | None) -> None:
    """The links of the running step lead there; `Data_Docs` stands for the link `Data Docs`."""
    known = {name.replace("_", " "): address for name, address in addresses.items() if address}
    cast("StepOperator", get_current_context()["task"]).addresses = known
