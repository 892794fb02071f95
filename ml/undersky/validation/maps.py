"""Expectations of every map, of classes or of objects: its Item, its files, and what it was made of."""

from undersky.validation.rules import Rule, Severity

_CRITICAL = Severity.CRITICAL
_CONTRACT = "docs/maps.md"

RULES: tuple[Rule, ...] = (
    Rule(
        "scene", "schema_error", _CRITICAL, "item_invalid",
        "the Item breaks the STAC schema ({schema_error}): a defect of this version, report it",
        "STAC 1.1 core schema", one_of=("none",),
    ),
    Rule(
        "scene", "digest_agrees", _CRITICAL, "digest_mismatch",
        "the Item says digest {digest}, its folder is made for another: remove the folder and map again",
        "ARCHITECTURE, store layout", one_of=(True,),
    ),
    Rule(
        "scene", "source_agrees", _CRITICAL, "source_mismatch",
        "the map says that it was made of the surface product {source}, it should be of another: map again",
        "a map belongs to one surface product", one_of=(True,),
    ),
    Rule(
        "scene", "missing_assets", _CRITICAL, "asset_unnamed",
        "the Item lacks {missing}: map again", _CONTRACT, high=0.0,
    ),
    Rule(
        "bands", "is_there", _CRITICAL, "asset_missing",
        "{band} is in the Item and not in the folder: map again", "the Item is the commit", one_of=(True,),
    ),
    Rule(
        "bands", "size_agrees", _CRITICAL, "asset_size",
        "{band} has {bytes:.0f} bytes, the Item says {declared_bytes:.0f}: map again",
        "file extension of STAC", one_of=(True,),
    ),
    Rule(
        "bands", "checksum_agrees", _CRITICAL, "asset_checksum",
        "{band} does not have the sha256 that the Item gives: map again", "file extension of STAC",
        one_of=(True,),
    ),
    Rule(
        "bands", "opens", _CRITICAL, "asset_unreadable",
        "{band} cannot be opened as what the Item says it is: map again", _CONTRACT, one_of=(True,),
    ),
)  # fmt: skip
"""In the order in which the worst is told; the rules of each kind of map come after."""
