CREATE TABLE ieum_groups (
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    member TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
) STRICT, WITHOUT ROWID;

-- The messages that a group gave up on (`behind` is null), and those that wait behind one on its
-- key. They are named by their place in the log, so that erasing them there erases them here.
CREATE TABLE ieum_dead_letters (
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    behind INTEGER,
    reason TEXT,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (topic, name, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX ieum_dead_letters_by_key ON ieum_dead_letters (topic, name, key, position);

-- Which categories of the log are topics: those that were published to or joined.
CREATE TABLE ieum_topics (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
