"""The API server: what a KubernetesPodOperator and its trigger ask for, over HTTP on loopback."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cluster.control import Control, RefusedError
from cluster.faults import Fault
from cluster.pods import Json, Pod

TOKEN = "canary-token-of-the-cluster"
PODS = "/api/v1/namespaces/{namespace}/pods"


class ApiServer:
    """The same cluster behind it, however often it starts anew."""

    def __init__(self, control: Control, folder: Path, *, away_s: float = 4.0) -> None:
        self._control, self._away_s = control, away_s
        self._failing = 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
        self.requests: list[str] = []
        control.api_trouble = self._trouble
        self._start()

    def _config(self) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "undersky", "user": {"token": TOKEN}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "undersky"}}],
            "current-context": "fake",
        }

    def _start(self) -> None:
        config = uvicorn.Config(
            self._application(), host="127.0.0.1", port=self.port, log_level="error", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started and time.monotonic() < until:
            time.sleep(0.02)
        assert self._server.started

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    def _trouble(self, fault: Fault) -> None:
        if fault is Fault.API_FAILS:
            self._failing = 12
            return
        self.stop()
        time.sleep(self._away_s)
        self._start()

    def _application(self) -> Starlette:
        routes = [
            Route(PODS, self._list, methods=["GET"]),
            Route(PODS, self._create, methods=["POST"]),
            Route(f"{PODS}/{{name}}", self._read, methods=["GET"]),
            Route(f"{PODS}/{{name}}", self._delete, methods=["DELETE"]),
            Route(f"{PODS}/{{name}}/log", self._log, methods=["GET"]),
            Route("/api/v1/namespaces/{namespace}/events", self._events, methods=["GET"]),
        ]
        application = Starlette(routes=routes)
        application.add_middleware(BaseHTTPMiddleware, dispatch=self._answered)
        return application

    async def _answered(self, request: Request, handle: RequestResponseEndpoint) -> Response:
        self.requests.append(f"{request.method} {request.url.path}")
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _refusal(RefusedError(401, "Unauthorized", "who asks?"))
        if self._failing > 0:
            self._failing -= 1
            status = (500, 503, 429)[self._failing % 3]
            return _refusal(RefusedError(status, "Trouble", "the API server is not well"))
        try:
            return await handle(request)
        except RefusedError as refused:
            return _refusal(refused)

    def _pod(self, request: Request) -> Pod:
        name = request.path_params["name"]
        pod = self._control.pods.get(name)
        if pod is None:
            raise RefusedError(404, "NotFound", f'pods "{name}" not found')
        return pod

    async def _list(self, request: Request) -> Response:
        wanted = dict(each.split("=", 1) for each in request.query_params["labelSelector"].split(","))
        with self._control.lock:
            found = [
                pod.document() for pod in self._control.pods.values() if wanted.items() <= pod.labels.items()
            ]
        return JSONResponse({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found})

    async def _create(self, request: Request) -> Response:
        pod = self._control.create(request.path_params["namespace"], await request.json())
        if pod.fault is Fault.CREATE_LOST:
            pod.fault = None
            return _refusal(RefusedError(503, "Trouble", "the answer was lost"))
        return JSONResponse(pod.document(), status_code=201)

    async def _read(self, request: Request) -> Response:
        with self._control.lock:
            return JSONResponse(self._pod(request).document())

    async def _delete(self, request: Request) -> Response:
        pod = self._pod(request)
        text = await request.body()
        asked = {**(json.loads(text) if text else {}), **request.query_params}
        grace = asked.get("gracePeriodSeconds")
        self._control.delete(pod, float(grace) if grace is not None else None)
        return JSONResponse(pod.document())

    async def _log(self, request: Request) -> Response:
        pod = self._pod(request)
        if not pod.log.exists():
            raise RefusedError(400, "BadRequest", f'container "base" in pod "{pod.name}" is waiting to start')
        lines = pod.log.read_text(encoding="utf-8", errors="replace")
        if request.query_params.get("timestamps") in ("true", "True"):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
            lines = "".join(f"{stamp} {line}\n" for line in lines.splitlines())
        return PlainTextResponse(lines)

    async def _events(self, request: Request) -> Response:
        name = request.query_params.get("fieldSelector", "").partition("=")[2]
        with self._control.lock:
            pod = self._control.pods.get(name)
            events = list(pod.events) if pod else []
        if request.query_params.get("watch") not in ("true", "True"):
            listed = {"kind": "EventList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
            return JSONResponse({**listed, "items": events})

        async def watched() -> AsyncIterator[str]:
            for event in events:
                yield json.dumps({"type": "ADDED", "object": event}) + "\n"
            await asyncio.sleep(min(1.0, float(request.query_params.get("timeoutSeconds", 1))))

        return StreamingResponse(watched(), media_type="application/json")


def _refusal(refused: RefusedError) -> Response:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": refused.status}
    said = {"reason": refused.reason, "message": refused.message}
    return JSONResponse({**status, **said}, status_code=refused.status)
