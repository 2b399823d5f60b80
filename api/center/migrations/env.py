"""How Alembic runs the migrations: on the connection that it is handed, in that connection's transaction.

Alembic loads this file itself; nothing else may.
"""

from alembic import context

from api.center.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
