-- The head of the log: positions are taken from here and never again, whatever is deleted later.
-- Whoever appends locks this row first; so appends commit in the order of their positions.
-- `place` says which server, database, table and timeline the log was last seen in: a copy of it
-- elsewhere is another incarnation.
CREATE TABLE ieum_log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    incarnation uuid NOT NULL DEFAULT gen_random_uuid(),
    position bigint NOT NULL DEFAULT 0,
    place text COLLATE "C" NOT NULL,
    before uuid
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE TABLE ieum_events (
    position bigint PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    id uuid NOT NULL,
    type text COLLATE "C" NOT NULL,
    data text NOT NULL,
    metadata text NOT NULL,
    tags text,
    recorded_at bigint NOT NULL,
    crc bigint NOT NULL,
    category text COLLATE "C" NOT NULL GENERATED ALWAYS AS (split_part(stream, '-', 1)) STORED
);
CREATE UNIQUE INDEX ieum_events_by_id ON ieum_events (id);
CREATE UNIQUE INDEX ieum_events_by_stream ON ieum_events (stream, version);
CREATE INDEX ieum_events_by_category ON ieum_events (category, position);

-- The head of each stream: versions are taken from here and never again.
CREATE TABLE ieum_streams (
    name text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE ieum_tags (
    tag text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (tag, position)
);

-- A fence is a lease: who took it, and how often it was renewed.
CREATE TABLE ieum_fences (
    name text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    renewals bigint NOT NULL DEFAULT 0,
    holder text COLLATE "C"
) WITH (fillfactor = 50);

CREATE TABLE ieum_checkpoints (
    name text COLLATE "C" PRIMARY KEY,
    incarnation uuid NOT NULL,
    position bigint NOT NULL
) WITH (fillfactor = 50);

-- Where this database is: the cluster, the database, the table, and the timeline, which changes when
-- a standby or a restored backup is promoted.
CREATE FUNCTION ieum_log_place() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT concat_ws('/', system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()),
                     'ieum_log'::regclass::oid, left(pg_walfile_name(pg_current_wal_lsn()), 8))
    FROM pg_control_system()
$$;
INSERT INTO ieum_log (place) VALUES (ieum_log_place());

-- Begins another incarnation if the log was copied, restored or promoted since it was last seen.
-- Called on every new connection, before anything is read.
CREATE FUNCTION ieum_log_recognise() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    here text := ieum_log_place();
BEGIN
    IF (SELECT l.place FROM ieum_log l) = here THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    PERFORM 1 FROM ieum_log FOR UPDATE;
    UPDATE ieum_log SET place = here, before = incarnation, incarnation = gen_random_uuid()
        WHERE place <> here;
END $$;

-- For an operator who moved the log and knows that nothing is missing from it: the incarnation from
-- before the move goes on, and so do all checkpoints. Answers it.
CREATE FUNCTION ieum_log_moved_whole() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    UPDATE ieum_log SET incarnation = coalesce(before, incarnation), before = NULL,
        place = ieum_log_place()
        RETURNING incarnation
$$;

-- What position and version add to a checksum that the client made of everything else: each bit of
-- either changes the result, and a row that was copied to another place does not fit there.
CREATE FUNCTION ieum_place_crc(at bigint, version bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((at # (at >> 32)) & 4294967295)
        # ((((version # (version >> 32)) & 4294967295) * 1640531527) & 4294967295)
$$;
