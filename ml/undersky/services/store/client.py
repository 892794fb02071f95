"""The boto3 client as every store and upstream bucket needs it."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore import exceptions as boto
from botocore.config import Config

from undersky.errors import ConfigError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
POOL = 64
"""Connections kept; as many threads may use one client."""
ATTEMPTS = 4
"""botocore's own tries of one request."""


def make_client(
    *, endpoint: str | None, region: str | None = None, login: tuple[str, str] | None = None
) -> "S3Client":
    """A client with timeouts, retries and a pool; credentials come from boto3's own chain unless given.

    Raises:
        ConfigError: The endpoint is no address, or the AWS configuration of this machine cannot be used.
    """
    if endpoint is not None:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ConfigError(
                f"UNDERSKY_S3_ENDPOINT={parts.scheme}://{parts.hostname} cannot be used: give http(s)://host:port"
            )
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=POOL,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # Every body carries a sha256 that we compute; the default CRC trailers break older S3 servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
        user_agent_extra="undersky",
    )
    try:
        # A session of its own: the default one is not safe to make clients from in threads.
        key, secret = login or (None, None)
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=config,
        )
    except (boto.BotoCoreError, ValueError) as error:
        raise ConfigError(f"no S3 client can be made: {error}; check the endpoint and AWS_PROFILE") from error
