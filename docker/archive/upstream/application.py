"""The archive's addresses.

/<dialect>/                           landing page           cdse, earth-search, landsatlook
/<dialect>/collections[/<id>]
/<dialect>/search                     GET and POST
/<dialect>/<file>                     with ranges
/<dialect>/token                      OpenID Connect, where a login was given
/faults                               GET, POST (a list), DELETE
/requests                             how often each path was asked, GET and DELETE
"""

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from upstream.catalog import BadQuery, Catalog, read_query
from upstream.faults import BadFault, Fault, Faults
from upstream.items import DIALECTS, Dialect

_BLOCK = 1 << 16
_CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]


class Archive:
    """What the handlers share."""

    def __init__(self, catalog: Catalog, faults: Faults, login: tuple[str, str] | None) -> None:
        self.catalog, self.faults, self.login = catalog, faults, login
        self.asked: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.lock = threading.Lock()

    async def landing(self, request: Request) -> Response:
        """The landing page."""
        dialect, base = _where(request)
        links = [
            {"rel": "self", "href": f"{base}/", "type": "application/json"},
            {"rel": "root", "href": f"{base}/", "type": "application/json"},
            {"rel": "data", "href": f"{base}/collections", "type": "application/json"},
            {"rel": "search", "href": f"{base}/search", "type": "application/geo+json", "method": "GET"},
            {"rel": "search", "href": f"{base}/search", "type": "application/geo+json", "method": "POST"},
        ]
        return JSONResponse(
            {
                "type": "Catalog",
                "stac_version": "1.0.0",
                "id": dialect.key,
                "title": dialect.title,
                "description": "Simulated and real products of a folder, announced as a provider would.",
                "conformsTo": _CONFORMS,
                "links": links,
            }
        )

    async def collections(self, request: Request) -> Response:
        """The only collection, or a list of it."""
        dialect, base = _where(request)
        collection = {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": dialect.collection,
            "description": dialect.title,
            "license": "other",
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [[None, None]]},
            },
            "links": [{"rel": "root", "href": f"{base}/"}],
        }
        wanted = request.path_params.get("collection")
        if wanted is None:
            return JSONResponse({"collections": [collection], "links": []})
        return JSONResponse(collection) if wanted == dialect.collection else _not_found()

    async def search(self, request: Request) -> Response:
        """One page of a search."""
        dialect, base = _where(request)
        try:
            raw = await request.json() if request.method == "POST" else dict(request.query_params)
            query = read_query(raw)
        except (BadQuery, ValueError, TypeError) as error:
            return JSONResponse({"code": "BadRequest", "description": str(error)}, 400)
        items, token = await run_in_threadpool(self.catalog.search, dialect, base, query)
        number = self.faults.searched()
        shown = [self.faults.spoil(i) for i in items if not self.faults.is_lost(str(i["id"]), number)]
        links = [_next(request.method, f"{base}/search", raw, token)] if token else []
        page = {"type": "FeatureCollection", "features": shown, "links": links, "numberReturned": len(shown)}
        return JSONResponse(page, media_type="application/geo+json")

    async def file(self, request: Request) -> Response:
        """A file, or a part of it."""
        dialect, _ = _where(request)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.login and dialect.key == "cdse" and bearer not in self.tokens:
            return JSONResponse({"detail": "Expired signature or no token"}, 401)
        path = request.path_params["path"]
        found = await run_in_threadpool(self.catalog.file, dialect.key, path)
        if found is None or not found.is_file():
            return _not_found()
        return _ranged(request, found, self.faults)

    async def token(self, request: Request) -> Response:
        """A token for the login."""
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        if self.login is None or (form.get("username"), form.get("password")) != self.login:
            return JSONResponse({"error": "invalid_grant"}, 401)
        fresh = secrets.token_hex(16)
        self.tokens.add(fresh)
        return JSONResponse({"access_token": fresh, "expires_in": 600, "token_type": "Bearer"})

    async def set_faults(self, request: Request) -> Response:
        """The faults in force, after setting them."""
        try:
            if request.method != "GET":
                self.faults.set(await request.json() if request.method == "POST" else [])
        except (BadFault, ValueError) as error:
            return JSONResponse({"detail": str(error)}, 400)
        return JSONResponse(self.faults.listed())

    async def requests(self, request: Request) -> Response:
        """How often each path was asked."""
        with self.lock:
            if request.method == "DELETE":
                self.asked.clear()
            return JSONResponse(dict(self.asked))


class Trouble:
    """Faults that happen to requests before anybody answers them; counts every request."""

    def __init__(self, app: ASGIApp, archive: Archive) -> None:
        self._app, self._archive = app, archive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or lets others answer."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path in ("/faults", "/requests"):
            await self._app(scope, receive, send)
            return
        with self._archive.lock:
            self._archive.asked[f"{scope['method']} {path}"] += 1
        faults = self._archive.faults
        if slow := faults.take("slow", path):
            await asyncio.sleep(slow.seconds)
        for kind in ("throttle", "error", "missing", "redirect"):
            if fault := faults.take(kind, path):
                await _trouble(fault)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def make_application(
    folders: tuple[Path, ...],
    *,
    cache: Path,
    faults: Path | None = None,
    login: tuple[str, str] | None = None,
) -> Starlette:
    """The archive over some folders. `cache` holds zips of SAFE folders."""
    archive = Archive(Catalog(folders, cache), Faults(faults), login)
    routes = [
        Route("/faults", archive.set_faults, methods=["GET", "POST", "DELETE"]),
        Route("/requests", archive.requests, methods=["GET", "DELETE"]),
    ]
    for key in DIALECTS:
        routes += [
            Route(f"/{key}", archive.landing),
            Route(f"/{key}/", archive.landing),
            Route(f"/{key}/collections", archive.collections),
            Route(f"/{key}/collections/{{collection}}", archive.collections),
            Route(f"/{key}/search", archive.search, methods=["GET", "POST"]),
            Route(f"/{key}/token", archive.token, methods=["POST"]),
            Route(f"/{key}/{{path:path}}", archive.file, methods=["GET", "HEAD"]),
        ]
    return Starlette(routes=routes, middleware=[Middleware(Trouble, archive=archive)])


def _where(request: Request) -> tuple[Dialect, str]:
    key = request.url.path.split("/")[1]
    return DIALECTS[key], f"{request.url.scheme}://{request.url.netloc}/{key}"


def _next(method: str, url: str, raw: dict[str, object], token: str) -> dict[str, object]:
    asked = {**raw, "token": token}
    if method == "POST":
        return {"rel": "next", "method": "POST", "href": url, "body": asked, "merge": False}
    return {"rel": "next", "method": "GET", "href": f"{url}?{urlencode(asked)}"}


def _not_found() -> Response:
    return JSONResponse({"code": "NotFound", "description": "there is no such thing here"}, 404)


def _trouble(fault: Fault) -> Response:
    if fault.kind == "throttle":
        return JSONResponse({"detail": "too many requests"}, 429, {"Retry-After": f"{fault.seconds:g}"})
    if fault.kind == "redirect":
        return RedirectResponse(fault.to, 302)
    if fault.kind == "missing":
        return _not_found()
    return JSONResponse({"detail": "the server is not well"}, fault.status)


def _ranged(request: Request, path: Path, faults: Faults) -> Response:
    stat = path.stat()
    etag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": formatdate(stat.st_mtime, usegmt=True),
        "Content-Type": "application/octet-stream",
    }
    begin, end, status = 0, stat.st_size, 200
    asked = request.headers.get("range")
    if asked and request.headers.get("if-range", etag) == etag:
        span = _span(asked, stat.st_size)
        if span is None:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{stat.st_size}"})
        begin, end, status = *span, 206
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{stat.st_size}"
    headers["Content-Length"] = str(end - begin)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    body = _body(
        path,
        begin,
        end,
        cut=faults.take("cut", request.url.path),
        corrupt=faults.take("corrupt", request.url.path),
    )
    return StreamingResponse(body, status, headers)


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last, of `bytes=0-99`, `bytes=100-`, `bytes=-50`."""
    unit, _, text = asked.partition("=")
    first, dash, last = text.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in text:
        return 0, size
    try:
        if not first:
            return max(0, size - int(last)), size
        begin = int(first)
        end = min(size, int(last) + 1) if last else size
    except ValueError:
        return None
    return (begin, end) if begin < end else None


class _Cut(ConnectionError):  # noqa: N818  no error of ours
    """The connection ends here, on purpose."""


async def _body(
    path: Path, begin: int, end: int, *, cut: Fault | None, corrupt: Fault | None
) -> AsyncIterator[bytes]:
    sent = 0
    with path.open("rb") as stream:
        stream.seek(begin)
        while begin + sent < end:
            block = await run_in_threadpool(stream.read, min(_BLOCK, end - begin - sent))
            if corrupt is not None and sent == 0 and block:
                block = bytes([block[0] ^ 0xFF]) + block[1:]
            if cut is not None and sent + len(block) > cut.bytes:
                yield block[: max(0, cut.bytes - sent)]
                raise _Cut
            yield block
            sent += len(block)
