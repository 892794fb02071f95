"""Published Items: what a finished product's Item becomes when everybody may read it. JSON in, JSON out.

    products/<collection>/<yyyy>/<mm>/<scene>/<digest>/<id>.json      candidate, beside its assets
    stac/<collection>/<yyyy>/<mm>/<scene>/<digest>.json               published, hrefs relative
    stac/<collection>/<yyyy>/<mm>/catalog.json                        its parent

Hrefs are relative, so the catalog moves with its bucket. Nothing here needs pystac: a step of the flow
costs a second, not five.
"""

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from undersky.errors import UnderskyError
from undersky.refs import Judged, Made, ReleaseSet

Json = dict[str, Any]

ROOT = "stac/catalog.json"
ITEM_TYPE = "application/geo+json"
VERSION_EXTENSION = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
TIMESTAMPS_EXTENSION = "https://stac-extensions.github.io/timestamps/v1.1.0/schema.json"

_OWN_LINKS = {"root", "parent", "collection", "self", "predecessor-version", "successor-version"}
_SOURCE = "derived_from"
_REPORT = "quality-report"
"""Relation of the link to the Data Docs page."""


class WrongProduct(UnderskyError):  # noqa: N818  a fact about what lies there
    """What a stage left is not the product that its outcome names: nothing of it is published."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """An Item that the new one takes the place of."""

    key: str
    """Where it lies in the store."""
    item: Mapping[str, Any]
    """The Item."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What the flow knows of a product beyond its Item."""

    made: Made
    acquisition: str
    """Key in the ledger."""
    at: datetime
    """When it is published (aware)."""
    run: str
    """Run that publishes it."""
    release: ReleaseSet | None = None
    """What the run was pinned to."""
    judged: Judged | None = None
    """What the expectations said."""
    docs: str | None = None
    """Key of the Data Docs page, where it lies in the same store."""
    earlier: Sequence[Earlier] = ()
    """Items of the same acquisition and kind that it takes the place of, newest last."""
    source: str | None = None
    """Key of the published Item of the surface product that a map is of."""

    @property
    def key(self) -> str:
        """Where the Item will lie."""
        return item_key(self.made)


def item_key(made: Made) -> str:
    """Key of the published Item of a product.

    Raises:
        WrongProduct: The product does not lie where products lie.
    """
    parts = made.prefix.strip("/").split("/")
    if len(parts) != 6 or parts[0] != "products" or parts[1] != made.collection or parts[5] != made.digest:
        raise WrongProduct(
            f"{made.id} lies at {made.prefix!r}, expected products/{made.collection}/<yyyy>/<mm>/<scene>/"
            f"{made.digest}: the stage that made it and this code differ in version"
        )
    return "/".join(("stac", *parts[1:5], f"{made.digest}.json"))


def published_item(candidate: Mapping[str, Any], publication: Publication) -> Json:
    """The Item as everybody will read it; equal input gives an equal Item.

    Args:
        candidate: The Item that lies beside the assets.
        publication: Where it goes and what is known of it.

    Raises:
        WrongProduct: The candidate is of another product than `publication` says.
    """
    made, key = publication.made, publication.key
    found = candidate.get("properties", {}).get("undersky:digest")
    if candidate.get("id") != made.id or found != made.digest:
        raise WrongProduct(
            f"the Item at {made.item} is {candidate.get('id')} of digest {found}, expected {made.id} of "
            f"{made.digest}: was the product made twice into one folder?"
        )
    item: Json = json.loads(json.dumps(candidate))
    item["collection"] = made.collection
    own = _OWN_LINKS if publication.source is None else {*_OWN_LINKS, _SOURCE}
    item["links"] = [*_links(publication), *_foreign_links(item, made.item, key, own=own)]
    for asset in item["assets"].values():
        asset["href"] = rebased(asset["href"], made.item, key)
    item["properties"] |= _provenance(item["properties"], publication)
    extensions = (VERSION_EXTENSION, TIMESTAMPS_EXTENSION)
    item["stac_extensions"] = sorted({*item.get("stac_extensions", ()), *extensions})
    return item


def _links(publication: Publication) -> list[Json]:
    key, made = publication.key, publication.made
    links = [
        link("root", key, ROOT, title="Undersky"),
        link("parent", key, month_key(key)),
        link("collection", key, collection_key(made.collection)),
    ]
    links += [
        link("predecessor-version", key, earlier.key, kind=ITEM_TYPE, title=str(earlier.item.get("id")))
        for earlier in publication.earlier[-1:]
    ]
    if publication.source is not None:
        title = "The surface reflectance that it is made of"
        links.append(link(_SOURCE, key, publication.source, kind=ITEM_TYPE, title=title))
    if publication.docs is not None:
        title = "What the expectations said of this product"
        links.append(link(_REPORT, key, publication.docs, kind="text/html", title=title))
    return links


def _foreign_links(item: Json, source: str, key: str, *, own: set[str]) -> list[Json]:
    """What the candidate links beside the catalog: licence terms."""
    kept = [given for given in item.get("links", ()) if given.get("rel") not in own]
    return [{**given, "href": rebased(given["href"], source, key)} for given in kept]


def _provenance(properties: Mapping[str, Any], publication: Publication) -> Json:
    made, judged, release = publication.made, publication.judged, publication.release
    fields: Json = {
        "version": str(1 + max((version_of(e.item) for e in publication.earlier), default=0)),
        "deprecated": False,
        "published": _moment(publication.at),
        "undersky:acquisition": publication.acquisition,
        "undersky:published_by": publication.run,
    }
    for field, model in (("undersky:model", made.model), ("undersky:quality_model", made.quality)):
        if model is not None:
            known = properties.get(field) or {}
            fields[field] = {
                "name": model.name, "version": model.label, "digest": model.digest,
                **known, "registry_version": model.version,
            }  # fmt: skip
    if release is not None:
        fields["undersky:release"] = release.digest
    if judged is not None:
        fields["undersky:validation"] = {
            "expectations": judged.expectations,
            "failed": list(judged.failed),
        }
    return fields


def version_of(item: Mapping[str, Any]) -> int:
    """Which publication of its acquisition an Item is; 1 for the first."""
    text = str(item.get("properties", {}).get("version", "1"))
    return int(text) if text.isdecimal() else 1


def succeeded(item: Mapping[str, Any], key: str, *, by_key: str, by_id: str) -> Json:
    """The Item, deprecated in favour of another; once or twice is the same, and nothing else changes."""
    changed: Json = json.loads(json.dumps(item))
    changed["properties"]["deprecated"] = True
    links = [given for given in changed["links"] if given.get("rel") != "successor-version"]
    changed["links"] = [*links, link("successor-version", key, by_key, kind=ITEM_TYPE, title=by_id)]
    return changed


def withdrawn(item: Mapping[str, Any], why: str) -> Json:
    """The Item, deprecated because its model was taken back; once or twice is the same."""
    changed: Json = json.loads(json.dumps(item))
    changed["properties"] |= {"deprecated": True, "undersky:withdrawn": why}
    return changed


def same_product(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two Items are of one product: equal digests mean equal pixels; time and cost may differ."""
    digests = [item.get("properties", {}).get("undersky:digest") for item in (one, other)]
    return one.get("id") == other.get("id") and digests[0] is not None and digests[0] == digests[1]


def link(rel: str, at: str, to: str, *, kind: str = "application/json", title: str | None = None) -> Json:
    """A link from the document with key `at` to the one with key `to`."""
    found: Json = {"rel": rel, "href": relative(at, to), "type": kind}
    return found if title is None else {**found, "title": title}


def relative(at: str, to: str) -> str:
    """Href of the file with key `to` as a document with key `at` writes it."""
    href = quote(posixpath.relpath(to, posixpath.dirname(at)), safe="/:@!$&'()*+,;=~")
    return href if href.startswith("..") else f"./{href}"


def rebased(href: str, source: str, at: str) -> str:
    """An href that is relative to `source`, relative to `at`; an absolute one as it is."""
    if urlsplit(href).scheme or href.startswith("/"):
        return href
    return relative(at, resolved(href, source))


def resolved(href: str, at: str) -> str:
    """Key that a relative href in the document with key `at` means."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(at), unquote(href)))


def month_key(key: str) -> str:
    """Key of the monthly catalog that an Item belongs to."""
    return "/".join((*key.split("/")[:4], "catalog.json"))


def collection_key(name: str) -> str:
    """Key of a Collection."""
    return f"stac/{name}/collection.json"


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """The document as text, the same for the same content."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
