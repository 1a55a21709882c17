"""SQL: functions on an open connection, for SQLite and PostgreSQL alike."""
