"""One scene of a run, as HTML: a swipe, the land cover with its legend, the objects with their chips."""

from collections.abc import Iterator
from html import escape

from undersky.landcover import BY_SLUG
from undersky.pages.figures import data_uri
from undersky.pages.values import LANDCOVER, SURFACE, Figure, Found, Link, PageProduct, PageScene

_TITLES = {SURFACE: "Surface reflectance", LANDCOVER: "Land cover", "vessels": "Vessels"}
_FLAGS = {
    "cloud": "#9aa7b4", "cloud_shadow": "#4b4458", "cirrus": "#8fb8d8", "snow": "#7fd3e8", "water": "#2a6fb0",
    "nodata": "#22282e",
}  # fmt: skip
"""Quality flags that a bar shows, in their colours, in the order in which they are told."""
_CHIPS = 6
"""Objects with a picture of their own; the table has them all."""
_COARSE = 200
"""Pixels below which a picture is shown with hard edges."""
_LEAST_SHARE = 0.05


def scene_article(scene: PageScene, number: int) -> str:
    """The scene whole; `number` makes its anchor."""
    badges = "".join(map(_badge, scene.products))
    panels = "".join(map(_panel, scene.products))
    return (
        f'<article id="scene-{number}"><div class="top"><h2>{escape(scene.title)}</h2>'
        f'<ul class="badges">{badges}</ul></div><p class="key"><code>{escape(scene.key)}</code></p>'
        f'<div class="panels">{panels}</div></article>'
    )


def scene_row(scene: PageScene) -> str:
    """The scene in a line."""
    badges = "".join(map(_badge, scene.products))
    reasons = "".join(f"<small>{escape(each.sentence)}</small>" for each in scene.products if each.sentence)
    links = " ".join(_link(link) for each in scene.products for link in each.links)
    return (
        f"<tr><td>{escape(scene.title)}<small><code>{escape(scene.key)}</code></small></td>"
        f'<td><ul class="badges">{badges}</ul>{reasons}</td><td>{links}</td></tr>'
    )


def title_of(kind: str) -> str:
    """The kind of product for a person."""
    return _TITLES.get(kind, kind.replace("_", " ").capitalize())


def _badge(product: PageProduct) -> str:
    state = "".join(letter for letter in product.state if letter.isalnum())
    return f'<li class="{escape(state)}">{escape(title_of(product.kind))} · {escape(product.state)}</li>'


def _panel(product: PageProduct) -> str:
    """One product: picture, figures, why it is not public, where it comes from."""
    inner = "".join(_inside(product))
    note = f' <span class="note">{escape(product.note)}</span>' if product.note else ""
    return (
        f'<section class="{escape(product.kind)}"><h3>{escape(title_of(product.kind))}{note}</h3>'
        f"{inner}{_why(product)}{_provenance(product)}</section>"
    )


def _inside(product: PageProduct) -> Iterator[str]:
    if product.id is None:
        return
    if product.kind == SURFACE:
        yield _swipe(product)
        yield _bar(_flags(product), "Quality of the pixels")
    elif product.kind == LANDCOVER:
        yield _map(product, f"Land cover: {_words(_classes(product))}")
        yield _bar(_classes(product), "Share of the classes")
        yield _cover_line(product)
    else:
        count = len(product.objects) + product.more_objects
        yield _map(product, f"{count} {product.kind} in true colours, a frame about each")
        yield _objects(product)


def _swipe(product: PageProduct) -> str:
    before, after = (product.pictures.get(name) for name in ("before", "after"))
    if after is None:
        return '<p class="gone">There is no picture of it that can be read.</p>'
    if before is None:
        return _figure(after, "True colour, the atmosphere removed") + (
            '<p class="gone">No picture of what the satellite saw was kept.</p>'
        )
    name = escape(product.id or "", quote=True)
    return (
        f'<div class="swipe{_hard(after)}" style="aspect-ratio:{after.width}/{after.height}">'
        f"{_img(before, f'{name} before: what the satellite saw')}"
        f"{_img(after, f'{name} after: the atmosphere removed', css='over')}"
        f'<input type="range" min="0" max="100" step="1" value="50" '
        f'aria-label="before left, after right: {name}">'
        '<i aria-hidden="true"></i><b>before</b><b>after</b></div>'
    )


def _map(product: PageProduct, alt: str) -> str:
    picture = product.pictures.get("map")
    if picture is None:
        return '<p class="gone">There is no picture of it that can be read.</p>'
    return _figure(picture, alt)


def _figure(picture: Figure, alt: str) -> str:
    return (
        f'<div class="still{_hard(picture)}" style="aspect-ratio:{picture.width}/{picture.height}">'
        f"{_img(picture, escape(alt, quote=True))}</div>"
    )


def _img(picture: Figure, alt: str, *, css: str = "") -> str:
    """An image that is decoded when it comes into view; `alt` is escaped already."""
    name = f' class="{css}"' if css else ""
    return f'<img{name} src="{data_uri(picture)}" alt="{alt}" loading="lazy" decoding="async">'


def _hard(picture: Figure) -> str:
    return " hard" if max(picture.width, picture.height) < _COARSE else ""


Share = tuple[str, str, float]
"""Name, colour, percent."""


def _flags(product: PageProduct) -> list[Share]:
    """Flags of a surface product; they may overlap."""
    return [
        (name.replace("_", " "), colour, product.figures[name])
        for name, colour in _FLAGS.items()
        if product.figures.get(name, 0.0) >= _LEAST_SHARE
    ]


def _classes(product: PageProduct) -> list[Share]:
    """Classes of a map, the largest first."""
    found = [
        (BY_SLUG[name].name, f"#{BY_SLUG[name].hex_colour}", share)
        for name, share in product.figures.items()
        if name in BY_SLUG and share >= _LEAST_SHARE
    ]
    return sorted(found, key=lambda share: -share[2])


def _words(shares: list[Share]) -> str:
    return ", ".join(f"{name} {share:.0f} %" for name, _, share in shares[:4]) or "no class"


def _bar(shares: list[Share], title: str) -> str:
    """Shares as a bar with its legend; a sentence where there are none."""
    if not shares:
        return f'<p class="gone">{title}: every pixel is clear ground.</p>' if "Quality" in title else ""
    whole = max(100.0, sum(share for *_, share in shares))
    parts = "".join(
        f'<i style="width:{100 * share / whole:.2f}%;background:{colour}"></i>' for _, colour, share in shares
    )
    legend = "".join(
        f'<li><i style="background:{colour}"></i>{escape(name)} <b>{share:.1f}&nbsp;%</b></li>'
        for name, colour, share in shares
    )
    return (
        f'<div class="bar" aria-hidden="true">{parts}</div>'
        f'<ul class="legend" aria-label="{title}">{legend}</ul>'
    )


def _cover_line(product: PageProduct) -> str:
    figures = product.figures
    told = [
        f"mean confidence {figures['confidence']:.0f}&nbsp;%" if "confidence" in figures else "",
        f"not mapped {figures['nodata']:.1f}&nbsp;%" if "nodata" in figures else "",
    ]
    return f'<p class="line">{"; ".join(filter(None, told))}</p>' if any(told) else ""


def _objects(product: PageProduct) -> str:
    """What was found, or that nothing was."""
    count = len(product.objects) + product.more_objects
    searched = product.figures.get("searched_percent")
    where = "" if searched is None else f"; {searched:.0f}&nbsp;% of the scene lies on or beside water"
    line = f'<p class="line"><b>{count}</b> {escape(product.kind)}{where}</p>'
    if not product.objects:
        return line if count == 0 else f'{line}<p class="gone">They are not listed here: see the files.</p>'
    chips = "".join(_chip(one, number) for number, one in enumerate(product.objects[:_CHIPS], 1) if one.chip)
    more = f"<p>{product.more_objects} more, less sure, in the files.</p>" if product.more_objects else ""
    head = "<tr><th>#</th><th>score</th><th>length</th><th>longitude</th><th>latitude</th></tr>"
    rows = "".join(_object_row(one, number) for number, one in enumerate(product.objects, 1))
    is_short = len(product.objects) <= 5
    return (
        f'{line}<div class="chips">{chips}</div><details{" open" if is_short else ""}><summary>Where they are'
        f'</summary><div class="table"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
        f"{more}</details>"
    )


def _chip(one: Found, number: int) -> str:
    alt = f"object {number}: score {one.score:.2f}, {one.length_m:.0f} m long"
    return (
        f'<figure><img src="{escape(one.chip or "", quote=True)}" alt="{alt}" '
        'loading="lazy" decoding="async">'
        f"<figcaption>{number} · {one.score:.2f} · {one.length_m:.0f}&nbsp;m</figcaption></figure>"
    )


def _object_row(one: Found, number: int) -> str:
    return (
        f"<tr><td>{number}</td><td>{one.score:.2f}</td><td>{one.length_m:.0f}&nbsp;m</td>"
        f"<td>{one.lon:.5f}</td><td>{one.lat:.5f}</td></tr>"
    )


def _why(product: PageProduct) -> str:
    """Why a product is not public."""
    if product.is_good or not (product.sentence or product.failed):
        return ""
    failed = [sentence for sentence in product.failed if sentence not in product.sentence]
    rows = "".join(f"<li>{escape(sentence)}</li>" for sentence in failed)
    state = "".join(letter for letter in product.state if letter.isalnum())
    sentence = f"<p>{escape(product.sentence)}</p>" if product.sentence else ""
    return f'<div class="why {state}"><strong>{escape(product.state)}</strong>{sentence}<ul>{rows}</ul></div>'


def _provenance(product: PageProduct) -> str:
    links = "".join(f"<li>{_link(link)}</li>" for link in product.links)
    models = ", ".join(map(escape, product.models))
    digest = ""
    if product.digest:
        whole = escape(product.digest, quote=True)
        digest = f' · digest <code title="{whole}">{escape(product.digest[:12])}</code>'
    made = f'<p class="from">by {models}{digest}</p>' if models else ""
    return (f'<ul class="links">{links}</ul>' if links else "") + made


def _link(link: Link) -> str:
    return f'<a href="{escape(link.href, quote=True)}">{escape(link.text)}</a>'
