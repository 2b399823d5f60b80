"""The database's layouts, one after the other; Alembic runs them when the store is opened."""
