"""Files from a provider into the own store: guarded, streamed, resumed where they were cut, verified."""

from undersky.services.transfer.checksums import Checksum, read_checksum
from undersky.services.transfer.fetch import Fetched, Transfers

__all__ = ["Checksum", "Fetched", "Transfers", "read_checksum"]
