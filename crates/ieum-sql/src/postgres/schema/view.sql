CREATE TABLE ieum_views (
    name TEXT PRIMARY KEY,
    incarnation BYTEA NOT NULL,
    position BIGINT NOT NULL
);
