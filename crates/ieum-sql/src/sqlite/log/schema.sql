-- The head of the log: positions are taken from here and never again, whatever is deleted later.
CREATE TABLE ieum_log (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    incarnation BLOB NOT NULL,
    position INTEGER NOT NULL
) STRICT;
INSERT INTO ieum_log (only, incarnation, position) VALUES (1, randomblob(16), 0);

CREATE TABLE ieum_events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    id BLOB NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    metadata TEXT NOT NULL,
    tags TEXT,
    recorded_at INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    category TEXT NOT NULL GENERATED ALWAYS AS (substr(stream, 1, instr(stream, '-') - 1)) VIRTUAL
) STRICT;
CREATE UNIQUE INDEX ieum_events_by_id ON ieum_events (id);
CREATE UNIQUE INDEX ieum_events_by_stream ON ieum_events (stream, version);
CREATE INDEX ieum_events_by_category ON ieum_events (category, position);

-- The head of each stream: versions are taken from here and never again.
CREATE TABLE ieum_streams (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ieum_tags (
    tag TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tag, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE ieum_fences (
    name TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ieum_checkpoints (
    name TEXT PRIMARY KEY,
    incarnation BLOB NOT NULL,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
