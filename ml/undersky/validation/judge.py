"""Great Expectations judges a table of facts; what it says becomes a verdict, and pages for people.

Rule --> expectation (severity, sentence and code with it) --> suite `<family>-<level>-<scene|bands>`

Importing this module takes seconds: it is for stage processes.
"""

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from undersky.validation import cover, level1, objects, surface
from undersky.validation.pages import finished_pages
from undersky.validation.rules import Facts, Failure, Row, Rule, Severity, Verdict

with warnings.catch_warnings():
    # its dependencies deprecate each other at import; nothing of that is ours
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.expectations.core.expect_column_values_to_be_between import (
        ExpectColumnValuesToBeBetween,
    )
    from great_expectations.expectations.core.expect_column_values_to_be_in_set import (
        ExpectColumnValuesToBeInSet,
    )
    from great_expectations.expectations.core.expect_column_values_to_not_be_null import (
        ExpectColumnValuesToNotBeNull,
    )

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
    from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
    from great_expectations.expectations.expectation import Expectation

RULES: Mapping[str, tuple[Rule, ...]] = {
    "level-1": level1.RULES,
    "surface": surface.RULES,
    "map": cover.RULES,
    "objects": objects.RULES,
}
"""By level."""

DOCS_VERSION = str(gx.__version__)
"""Whose pages these are: their styles differ from version to version."""

_SEVERITY = {Severity.WARNING: "warning", Severity.NON_PRODUCT: "info", Severity.CRITICAL: "critical"}
_SITE = "pages"


def judge(facts: Facts, *, docs: Path | None = None, when: datetime | None = None) -> Verdict:
    """What the suites of the product's family and level say of it.

    Args:
        facts: The product's.
        docs: Folder for Data Docs, which are then complete with `index.html`; none are made when None.
        when: Time that the pages are filed under (aware), so that a repeated run writes the same pages.
    """
    rules = rules_for(facts)
    failures: list[Failure] = []
    with warnings.catch_warnings():
        # Great Expectations and pandas disagree about what is deprecated; its answers are tested
        warnings.simplefilter("ignore")
        context = _context(docs)
        for about, rows in (("scene", (facts.scene,)), ("bands", facts.bands)):
            mine = [rule for rule in rules if rule.about == about]
            results = _judged(context, facts, about, rows=rows, rules=mine, when=when)
            failures += _failures(mine, results, rows)
        if docs is not None:
            context.build_data_docs(site_names=[_SITE])
            finished_pages(docs, title=facts.label)
    failures.sort(key=lambda failure: (-failure.rule.severity, rules.index(failure.rule)))
    return Verdict(len(rules), tuple(failures))


def rules_for(facts: Facts) -> tuple[Rule, ...]:
    """The rules of the product's family and level, in the order of their table."""
    return tuple(rule for rule in RULES[facts.level] if rule.family in (None, facts.family))


def suite(name: str, rules: Sequence[Rule]) -> "ExpectationSuite":
    """The rules as a suite."""
    return gx.ExpectationSuite(name=name, expectations=[_expectation(rule) for rule in rules])


def _expectation(rule: Rule) -> "Expectation":
    told = f"**{rule.column}**: {rule.expected}. Otherwise `{rule.code}` ({rule.severity.name.lower()})."
    common: dict[str, Any] = {
        "column": rule.column,
        "severity": _SEVERITY[rule.severity],
        "description": f"{told} Source: {rule.source}.",
        "meta": {"code": rule.code, "severity": rule.severity.name.lower()},
    }
    if rule.one_of:
        return ExpectColumnValuesToBeInSet(value_set=list(rule.one_of), **common)
    if rule.low is None and rule.high is None:
        return ExpectColumnValuesToNotBeNull(**common)
    return ExpectColumnValuesToBeBetween(min_value=rule.low, max_value=rule.high, **common)


def _context(docs: Path | None) -> "AbstractDataContext":
    """A context in memory that asks nobody and tells nobody."""
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    # its own default makes a temporary folder for pages and leaves it behind
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    quiet = ProgressBarsConfig(globally=False, metric_calculations=False)
    config = DataContextConfig(store_backend_defaults=stores, progress_bars=quiet, analytics_enabled=False)
    context = gx.get_context(mode="ephemeral", project_config=config)
    if docs is not None:
        site: Any = {  # its own typed dictionary lacks keys that it reads
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        }
        context.add_data_docs_site(_SITE, site)
    return context


def _judged(
    context: "AbstractDataContext",
    facts: Facts,
    about: str,
    *,
    rows: Sequence[Row],
    rules: Sequence[Rule],
    when: datetime | None,
) -> "ExpectationSuiteValidationResult":
    """The suite's answer about one table."""
    table = table_of(rows, rules)
    source = context.data_sources.add_pandas(f"{facts.label}-{about}")
    batch = source.add_dataframe_asset(about).add_batch_definition_whole_dataframe(facts.label)
    expected = context.suites.add(suite(f"{facts.family}-{facts.level}-{about}", rules))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=f"{facts.level}-{about}", data=batch, suite=expected)
    )
    index = ["band"] if about == "bands" else ["id"]
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": index}
    checkpoint = gx.Checkpoint(name=about, validation_definitions=[definition], result_format=wanted)
    run = gx.RunIdentifier(run_name=facts.label, run_time=when or datetime.now(UTC))
    answer = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table}, run_id=run)
    (result,) = answer.run_results.values()
    return result


def table_of(rows: Sequence[Row], rules: Iterable[Rule] = ()) -> pd.DataFrame:
    """The facts as a table; a column that a rule asks for and no row has is empty."""
    table = pd.DataFrame([dict(row) for row in rows])
    for rule in rules:
        if rule.column not in table.columns:
            table[rule.column] = None
    for column in table.columns:
        kinds = {type(value) for value in table[column] if value is not None}
        if kinds <= {float, int}:  # an all-empty column too: to be compared with bounds it must be of numbers
            table[column] = table[column].astype("float64")
    return table


def _failures(
    rules: Sequence[Rule], results: "ExpectationSuiteValidationResult", rows: Sequence[Row]
) -> Iterable[Failure]:
    by_key = {_key(result.expectation_config): result for result in results.results}
    for rule in rules:
        result = by_key[rule.code, rule.column]
        if result.success:
            continue
        error = (result.exception_info or {}).get("exception_message")
        if error:
            raise ValueError(f"expectation {rule.code} on {rule.column} could not be tried: {error}")
        broken = [str(where.get("band")) for where in result.result.get("unexpected_index_list") or ()]
        yield _told(rule, rows, broken)


def _key(config: Any) -> tuple[str, str]:
    return config.meta["code"], config.kwargs["column"]


def _told(rule: Rule, rows: Sequence[Row], broken: Sequence[str]) -> Failure:
    """The failure, its sentence filled with the facts of the first row that broke the rule."""
    if rule.about == "scene" or not broken:
        return Failure(rule, rule.sentence.format_map(_Known(rows[0] if rows else {})), ())
    first = next(row for row in rows if row["band"] == broken[0])
    more = f"; and so are {', '.join(broken[1:])}" if len(broken) > 1 else ""
    return Failure(rule, rule.sentence.format_map(_Known(first)) + more, tuple(broken))


class _Known(dict[str, object]):
    """Facts for a sentence; what is not known reads as such."""

    def __missing__(self, key: str) -> "_Unknown":
        return _Unknown()


class _Unknown:
    """Formats as a question mark, whatever the format."""

    def __format__(self, spec: str) -> str:
        return "?"
