"""The bucket that holds every file: documents, big files, conditional puts; the only owner of boto3.

Works against AWS, SeaweedFS, MinIO and anything that speaks their S3. Credentials come from boto3's own chain
(environment, profile, role); none is ever written to a message or a log.
"""

from undersky.services.store.bucket import Store
from undersky.services.store.race import RaceReport
from undersky.services.store.upstream import UpstreamBucket
from undersky.services.store.values import (
    Document,
    NotInStore,
    PreconditionFailed,
    Stored,
    content_type_of,
)

__all__ = [
    "Document",
    "NotInStore",
    "PreconditionFailed",
    "RaceReport",
    "Store",
    "Stored",
    "UpstreamBucket",
    "content_type_of",
]
