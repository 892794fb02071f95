"""Stages `validate-...`: what lies in the own store is judged, Data Docs laid beside.

reports/data-docs/<level>/<run>/<batch>/<acquisition>/index.html   pages for people
                                                     /facts.json   the table that was judged
                 /static/<version>/                                styles and fonts of all pages
"""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from undersky import tiles
from undersky.bands import SENSORS
from undersky.batch.driver import BEFORE, Context
from undersky.batch.fetched import fetch_assets, fetch_product, fetch_scene
from undersky.errors import ConfigError, DataError
from undersky.refs import Ending, Judged, Made, Outcome, SceneRef
from undersky.services.store import Store
from undersky.stages.validate import (
    Expected,
    Pages,
    Validated,
    validate_level1,
    validate_map,
    validate_surface,
)
from undersky.validation.judge import DOCS_VERSION
from undersky.validation.level1_facts import Announced
from undersky.validation.map_facts import SurfaceEvidence
from undersky.validation.pages import files_of, with_shared_statics
from undersky.validation.rules import Severity, Verdict

REPORTS = "reports/data-docs"
STATICS = f"{REPORTS}/static/{DOCS_VERSION}"
_LAST_STATIC = "styles/data_docs_default_styles.css"
_AT_A_TIME = 8


def judge_level1(ref: SceneRef, context: Context) -> Outcome:
    """The delivered scene is valid, quarantined or skipped.

    Raises:
        DataError: It cannot be used at all: the driver quarantines it.
        ServiceError: The store failed.
    """
    ingested = context.earlier.ingested if context.earlier else None
    files = ingested.files if ingested else ref.files
    path = fetch_scene(context.store, ref, files, context.scratch / "l1")
    docs = context.scratch / "docs"
    done = validate_level1(path, announced=announced(ref), pages=Pages(docs, ref.sensed))
    return _outcome(ref, context, done, docs=docs, refused=Ending.QUARANTINED)


def judge_surface(ref: SceneRef, context: Context) -> Outcome:
    """The corrected product is checked, held or skipped.

    Raises:
        ConfigError: The stage before made none.
        ServiceError: The store failed.
    """
    made, docs = _made(ref, context), context.scratch / "docs"
    try:
        folder = fetch_product(context.store, made, context.scratch / "product")
        done = validate_surface(folder, digest=made.digest, pages=Pages(docs, ref.sensed))
    except DataError as error:  # bytes that are not those of the store's own checksum
        return context.ended(ref, Ending.HELD, error.reason, str(error))
    return _outcome(ref, context, done, docs=docs, refused=Ending.HELD)


def judge_map(ref: SceneRef, context: Context) -> Outcome:
    """The map, of land cover or of objects, is checked, held or skipped; its reflectance stands published.

    It is held against the quality mask of the surface product that it was made of.

    Raises:
        ConfigError: The stage before made none, or the reference names no surface product.
        ServiceError: The store failed.
    """
    made, docs = _made(ref, context), context.scratch / "docs"
    if ref.surface is None:
        raise ConfigError(f"{ref.scene} came without the surface product of its map: claim it again")
    try:
        folder = fetch_product(context.store, made, context.scratch / "product")
        item, beside = fetch_assets(
            context.store, ref.surface, context.scratch / "surface", roles={"quality"}
        )
        expected = Expected(made.digest, ref.surface.digest, SurfaceEvidence(item, beside))
        done = validate_map(folder, expected=expected, pages=Pages(docs, ref.sensed))
    except DataError as error:  # bytes that are not those of the store's own checksum
        return context.ended(ref, Ending.HELD, error.reason, str(error))
    return _outcome(ref, context, done, docs=docs, refused=Ending.HELD)


def _made(ref: SceneRef, context: Context) -> Made:
    """The product of the stage before."""
    made = context.earlier.made if context.earlier else None
    if made is None:
        before = BEFORE[context.stage]
        raise ConfigError(f"stage {before} says that {ref.scene} is done and names no product: run it again")
    return made


def announced(ref: SceneRef) -> Announced:
    """What the catalog said of the scene."""
    mission = ref.acquisition.partition("_")[0]
    key = f"L{mission[-1]}" if mission.startswith("LC") else mission
    try:
        tile = tiles.tile_name(ref.tile)
    except ConfigError:
        tile = ref.tile
    platform = SENSORS[key].platform if key in SENSORS else None
    return Announced(ref.scene.removesuffix(".SAFE"), platform, tile, ref.sensed)


def _outcome(ref: SceneRef, context: Context, done: Validated, *, docs: Path, refused: Ending) -> Outcome:
    verdict = done.verdict
    judged = _filed(context, ref, done, docs)
    for failure in verdict.failures:
        context.tell(
            "expectation failed", level="info", acquisition=ref.acquisition, code=failure.rule.code,
            severity=failure.rule.severity.name.lower(), sentence=failure.sentence,
        )  # fmt: skip
    ending, reason, sentence = ending_of(verdict, refused)
    return context.ended(ref, ending, reason, sentence, judged=judged)


def ending_of(verdict: Verdict, refused: Ending) -> tuple[Ending, str, str]:
    """Ending, reason and sentence that follow from a verdict."""
    worst = verdict.worst
    if worst is None:
        return Ending.DONE, "ok", ""
    ending = refused if worst.rule.severity is Severity.CRITICAL else Ending.SKIPPED
    return ending, worst.rule.code, worst.sentence


def _filed(context: Context, ref: SceneRef, done: Validated, docs: Path) -> Judged:
    """Pages and table lie in the store."""
    prefix = f"{REPORTS}/{done.facts.level}/{context.place}/{ref.acquisition}"
    _file_statics(context.store, docs)
    depth = len(prefix.split("/")) - len(REPORTS.split("/"))
    with_shared_statics(docs, statics="../" * depth + STATICS.removeprefix(f"{REPORTS}/"))
    (docs / "facts.json").write_text(_table_text(done), encoding="utf-8")
    _put_all(context.store, prefix, docs)
    return Judged(
        expectations=done.verdict.expectations,
        failed=tuple(failure.sentence for failure in done.verdict.failures),
        docs=context.store.href(f"{prefix}/index.html"),
        facts=context.store.href(f"{prefix}/facts.json"),
    )


def _file_statics(store: Store, docs: Path) -> None:
    """Styles and fonts of this version lie in the store; the last one says that all do."""
    if store.head(f"{STATICS}/{_LAST_STATIC}") is None:
        last = docs / "static" / _LAST_STATIC
        style = last.read_bytes()
        last.unlink()
        _put_all(store, STATICS, docs / "static")
        store.put(f"{STATICS}/{_LAST_STATIC}", style)


def _put_all(store: Store, prefix: str, folder: Path) -> None:
    *files, last = files_of(folder)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        list(pool.map(lambda file: store.put(f"{prefix}/{file[0]}", file[1].read_bytes()), files))
    store.put(f"{prefix}/{last[0]}", last[1].read_bytes())


def _table_text(done: Validated) -> str:
    facts, verdict = done.facts, done.verdict
    failures = [
        {
            "code": f.rule.code,
            "severity": f.rule.severity.name.lower(),
            "sentence": f.sentence,
            "bands": f.rows,
        }
        for f in verdict.failures
    ]
    table = {"scene": facts.scene, "bands": facts.bands}
    content = {"label": facts.label, "level": facts.level, **table, "failures": failures}
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    """The value without what JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
