"""What Alembic runs: the migrations, inside the transaction that the caller has begun."""

from alembic import context

from undersky.services.ledger.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="version",
    version_table_schema=SCHEMA,
    include_schemas=True,
)
context.run_migrations()
