//! SQLite: the log, and outbox, inbox, barrier and idempotency records for the database of a service.
