"""The schema's history, as Alembic reads it; `undersky ledger migrate` applies it."""
