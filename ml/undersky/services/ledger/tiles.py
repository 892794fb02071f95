"""What the flow asks and tells the ledger about rolling maps: every method is one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from undersky.services.ledger import tile_maps
from undersky.services.ledger.history import Why
from undersky.services.ledger.leases import Patience
from undersky.services.ledger.models import Models
from undersky.services.ledger.records import Actor
from undersky.services.ledger.tile_maps import Rolling, TileMap
from undersky.tile_refs import TileRef


class Tiles(Models):
    """The part of the ledger that knows which rolling map of a tile counts."""

    _patience: Patience

    def tile_maps(self) -> tuple[TileMap, ...]:
        """Every tile that ever had a map, by name."""
        with self._transaction() as connection:
            return tile_maps.listed(connection)

    def claim_tiles(self, *, limit: int, by: Actor, lease: timedelta) -> list[TileRef]:
        """Up to `limit` tiles that nobody else works on and whose rolling map is not of the maps that count.

        Those are the maps without a successor whose model was not taken back, of the year before the newest,
        at most MOST_MAPS. A tile without one is among them while its rolling map still stands.
        """
        with self._transaction() as connection:
            return tile_maps.claim(connection, limit=limit, by=by, lease=lease)

    def holding_tiles(self, run: str) -> list[TileRef]:
        """The tiles whose lease that run holds, expired or not, with the maps that it claimed."""
        with self._transaction() as connection:
            return tile_maps.holding(connection, run)

    def renew_tile(self, ref: TileRef, by: Actor, lease: timedelta) -> bool:
        """Whether the lease stands, from now on for `lease`."""
        with self._transaction() as connection:
            return tile_maps.renew(connection, ref, lease, by)

    def give_back_tile(self, ref: TileRef, by: Actor, reason: str, sentence: str) -> bool:
        """Whether the lease still stood: then the tile may be claimed again after a pause."""
        with self._transaction() as connection:
            return tile_maps.give_back(connection, ref, Why(reason, sentence), by, self._patience)

    @contextmanager
    def rolling(self, ref: TileRef, by: Actor) -> Iterator[Rolling]:
        """The tile's row is locked and its lease checked: the Item may be put, and then `rolled` said.

        If the block ends without a word, or with an exception, nothing has changed here.

        Raises:
            LeaseLost: The lease has ended.
        """
        with self._transaction() as connection:
            yield Rolling(connection, ref, tile_maps.locked(connection, ref), by)

    def roll_again(self, tile: str, by: Actor, *, why: str) -> int:
        """The rolling maps of that tile are to be made again; how many there are.

        Raises:
            ConfigError: The tile has none.
        """
        with self._transaction() as connection:
            return tile_maps.again(connection, tile, by, why=why)
