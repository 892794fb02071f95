"""Accounts on the real SeaweedFS, each under the policy document of its role, made as docs/deploy.md says."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from unittest.mock import patch

import boto3
import pytest

from fixtures_store import S3Server
from undersky.cli import main
from undersky.errors import ConfigError
from undersky.services.store import Store
from undersky.services.store.policies import policy_of

NEWS_S = 30.0
"""A server tells its own parts of a new account; that takes it a moment."""


@dataclass(frozen=True, slots=True)
class Account:
    """A key to the bucket, and what may be done with it."""

    role: str
    environment: Mapping[str, str]
    """What a worker has that signs in as this account."""
    store: Store
    """The bucket as this account sees it; it is not patient."""


@dataclass(frozen=True, slots=True)
class Office:
    """Makes accounts on one bucket, one a role."""

    owner: Store
    server: S3Server
    iam: Any
    known: dict[str, Account] = field(default_factory=dict)

    @classmethod
    def of(cls, owner: Store, server: S3Server) -> Self:
        """The office of that bucket."""
        iam = boto3.client(
            "iam",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=server.key,
            aws_secret_access_key=server.secret,
        )
        return cls(owner, server, iam)

    def account(self, role: str) -> Account:
        """Its account, made when it is first asked for."""
        if role not in self.known:
            self.known[role] = self._made(role)
        return self.known[role]

    def store(self, role: str) -> Store:
        """The bucket as that role sees it."""
        return self.account(role).store

    @contextmanager
    def signed_in(self, role: str) -> Iterator[None]:
        """This process is a worker of that role."""
        with patch.dict("os.environ", self.account(role).environment):
            yield

    def _made(self, role: str) -> Account:
        iam = self.iam
        name = f"{role}-{uuid.uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        document = json.dumps(policy_of(role, self.owner.bucket))
        policy = iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
        server = S3Server(self.server.endpoint, key["AccessKeyId"], key["SecretAccessKey"])
        environment = {**server.environment, "UNDERSKY_STORE": self.owner.url}
        with patch.dict("os.environ", environment):
            store = Store.open(self.owner.url, endpoint=server.endpoint).patient(tries=1, pause_s=0.0)
        _wait_for(store)
        return Account(role, environment, store)


def _wait_for(store: Store) -> None:
    """Every role may list; until it may, the server has not heard of it."""
    deadline = time.monotonic() + NEWS_S
    while True:
        try:
            store.check()
        except ConfigError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@dataclass
class Hall:
    """Verbs, each said by an account."""

    office: Office
    output: pytest.CaptureFixture[str]

    def says(self, role: str, *words: str, code: int = 0) -> dict:
        """What the verb answers; it must end with that exit code."""
        with self.office.signed_in(role):
            found = main([*words, "--json"])
        said = self.output.readouterr()
        assert found == code, f"{role}: undersky {' '.join(words)} ended with {found}\n{said.err}"
        return json.loads(said.out)

    def batch(self, role: str, *words: str) -> str:
        """The address of the one batch that a claim lays down."""
        [batch] = self.says(role, "claim", *words)["batches"]
        return batch["batch"]

    def done(self, stage: str, href: str) -> None:
        """The stage ran under its own account, and its one scene left it `done`."""
        [scene] = self.says(stage, "batch", stage, href)["scenes"]
        assert (scene["ending"], scene["stage"]) == ("done", stage), scene
