"""One call sets up logs: one event a sentence, facts as fields, on standard error."""

import logging
import sys

import structlog


def set_up_logs(*, level: str, json: bool) -> None:
    """Afterwards `structlog.get_logger()` writes at `level`, as JSON lines or as text for people."""
    render: structlog.typing.Processor
    render = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def tell(event: str, /, *, level: str = "info", **facts: object) -> None:
    """One event is logged at `level`, its facts as fields."""
    getattr(structlog.get_logger(), level)(event, **facts)
