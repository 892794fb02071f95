"""Airflow's REST API, as its administrator."""

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onemachine.folder import StackError

Json = dict[str, Any]


@dataclass(slots=True)
class AirflowApi:
    """Calls with a token, renewed when it has run out."""

    url: str
    """Of the API server."""
    password: str
    """Of `admin`."""
    token: str = ""
    """Bearer; asked for with the first call."""

    def get(self, path: str, **query: object) -> Json:
        """What lies at `/api/v2<path>`."""
        return self.call("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        """What comes of it."""
        return self.call("POST", path, body)

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, good: tuple[int, ...] = ()
    ) -> Json:
        """The answer, parsed.

        Args:
            method: Of HTTP.
            path: Below `/api/v2`.
            body: Sent as JSON.
            good: Statuses beyond 2xx that are no error.

        Raises:
            StackError: The server does not answer, or refuses.
        """
        status, text = self._send(method, f"/api/v2{path}", body)
        if status == http.client.UNAUTHORIZED:
            self.token = ""
            status, text = self._send(method, f"/api/v2{path}", body)
        if not 200 <= status < 300 and status not in good:
            raise StackError(
                f"Airflow answers {status} to {method} {path}: {text[:300].decode(errors='replace')}"
            )
        return json.loads(text) if text else {}

    def trigger(self, dag: str, parameters: Mapping[str, object] | None = None) -> str:
        """Id of a new run."""
        answer = self.post(f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": dict(parameters or {})})
        return str(answer["dag_run_id"])

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> tuple[int, bytes]:
        if not self.token:
            self.token = self._sign_in()
        return self._request(method, path, body, {"Authorization": f"Bearer {self.token}"})

    def _sign_in(self) -> str:
        login = {"username": "admin", "password": self.password}
        status, text = self._request("POST", "/auth/token", login, {})
        if status >= 300:
            raise StackError(
                f"Airflow refuses its administrator ({status}): remove the stack's folder to begin afresh"
            )
        return str(json.loads(text)["access_token"])

    def _request(
        self, method: str, path: str, body: Mapping[str, object] | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=30.0)
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, content, {"Content-Type": "application/json", **headers})
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise StackError(f"Airflow does not answer at {self.url} ({error!r})") from error
        finally:
            connection.close()


def lay_out_pools(api: AirflowApi, pools: Mapping[str, Mapping[str, object]]) -> None:
    """Every pool is there; one that a person has changed is left as it is."""
    for name, pool in pools.items():
        api.call("POST", "/pools", {"name": name, **pool}, good=(http.client.CONFLICT,))
