-- Appends a batch of appends, each for itself: one that is refused undoes none of the others.
--
-- Arrays describe the batch. Append a (1 to cardinality(a_writes)) has a_writes[a] writes; write w
-- goes to streams[w_stream[w]], expects w_expect[w] (-1: anything, -2: that it exists, else this
-- version) and has w_events[w] events. t_, f_ and c_ are tags, fences and conditions, which name
-- their event or append by number, in order; the tags and types of a condition are JSON.
--
-- Outcomes: 0 appended (detail: last position), 1 some ids are known (see known_), 2 fenced (the
-- epoch), 3 conflict (the version; which: the write), 4 condition broken (the position), 5 the
-- condition lies beyond the head. An id stands in the batch once.
CREATE FUNCTION ieum_append(
    streams text[],
    a_writes int[],
    w_stream int[], w_expect bigint[], w_events int[],
    e_stream text[], e_id uuid[], e_type text[], e_data text[], e_metadata text[], e_tags text[],
    e_crc bigint[],
    recorded_at bigint,
    t_event int[], t_tag text[],
    f_append int[], f_name text[], f_epoch bigint[],
    c_append int[], c_tags text[], c_types text[], c_after bigint[],
    tell boolean,
    OUT head bigint,
    OUT outcomes int[], OUT details bigint[], OUT which int[], OUT versions bigint[],
    OUT known_id uuid[], OUT known_stream text[], OUT known_type text[],
    OUT known_position bigint[], OUT known_version bigint[]
) LANGUAGE plpgsql VOLATILE
-- No statistics decide how a row is found: a plan made for an empty table must do for a full one.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    first bigint;          -- the head before the batch
    written bigint;        -- the head that the tables know of
    heads bigint[];        -- the version of each stream
    changed boolean[];     -- whether it has moved
    epochs bigint[];       -- the epoch of each fence
    is_known boolean[];    -- of each append: whether one of its ids is in the log
    e_position bigint[];   -- of each event that is taken
    e_version bigint[];
    a int := 1;            -- the append, and the first of its writes, events, fences, conditions
    w int := 0;
    e int := 0;
    f int := 1;
    c int := 1;
    outcome int;
    detail bigint;
    s int;
    last_write int;
    last_event int;
    version bigint;
    found bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log is appended to in READ COMMITTED only, this transaction is %',
            upper(current_setting('transaction_isolation')) USING ERRCODE = 'IEU01';
    END IF;
    IF current_setting('synchronous_commit') <> 'remote_apply' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    -- The lock comes first and alone: what the later statements see was committed before them, and
    -- nothing is committed beside them.
    SELECT l.position INTO STRICT head FROM ieum_log l WHERE l.one FOR UPDATE;
    first := head;
    written := head;
    SELECT array_agg(k.id), array_agg(k.stream), array_agg(k.type), array_agg(k.position),
           array_agg(k.version)
        INTO known_id, known_stream, known_type, known_position, known_version
        FROM ieum_events k WHERE k.id = ANY (e_id);
    SELECT array_agg(coalesce(h.version, 0) ORDER BY n.at) INTO heads
        FROM unnest(streams) WITH ORDINALITY n (name, at) LEFT JOIN ieum_streams h ON h.name = n.name;
    IF cardinality(f_append) > 0 THEN
        SELECT array_agg(coalesce(h.epoch, 0) ORDER BY n.at) INTO epochs
            FROM unnest(f_name) WITH ORDINALITY n (name, at) LEFT JOIN ieum_fences h ON h.name = n.name;
    END IF;
    changed := array_fill(false, ARRAY[cardinality(streams)]);
    outcomes := array_fill(0, ARRAY[cardinality(a_writes)]);
    details := array_fill(0::bigint, ARRAY[cardinality(a_writes)]);
    which := outcomes;
    versions := array_fill(0::bigint, ARRAY[cardinality(w_stream)]);
    e_position := array_fill(NULL::bigint, ARRAY[cardinality(e_id)]);
    e_version := e_position;

    LOOP
        -- Decides the appends in turn, up to a condition that must see what was decided before it.
        WHILE a <= cardinality(a_writes) LOOP
            EXIT WHEN head > written AND c_append[c] = a;
            outcome := 0;
            last_write := w + a_writes[a];
            last_event := e;
            FOR i IN w + 1 .. last_write LOOP
                last_event := last_event + w_events[i];
            END LOOP;
            IF f_append[f] = a THEN
                IF epochs[f] <> f_epoch[f] THEN
                    outcome := 2;
                    detail := epochs[f];
                END IF;
                f := f + 1;
            END IF;
            IF outcome = 0 AND known_id IS NOT NULL AND e_id[e + 1 : last_event] && known_id THEN
                outcome := 1;
                detail := 0;
            END IF;
            IF outcome = 0 THEN
                FOR i IN w + 1 .. last_write LOOP
                    version := heads[w_stream[i]];
                    IF (w_expect[i] >= 0 AND version <> w_expect[i])
                        OR (w_expect[i] = -2 AND version = 0) THEN
                        outcome := 3;
                        detail := version;
                        which[a] := i - w;
                        EXIT;
                    END IF;
                END LOOP;
            END IF;
            IF c_append[c] = a THEN
                IF outcome = 0 AND c_after[c] > head THEN
                    outcome := 5;
                    detail := head;
                ELSIF outcome = 0 THEN
                    found := ieum_find_tagged(c_tags[c]::jsonb, c_types[c]::jsonb, c_after[c]);
                    IF found IS NOT NULL THEN
                        outcome := 4;
                        detail := found;
                    END IF;
                END IF;
                c := c + 1;
            END IF;
            IF outcome = 0 THEN
                FOR i IN w + 1 .. last_write LOOP
                    s := w_stream[i];
                    version := heads[s];
                    FOR n IN e + 1 .. e + w_events[i] LOOP
                        head := head + 1;
                        version := version + 1;
                        e_position[n] := head;
                        e_version[n] := version;
                    END LOOP;
                    e := e + w_events[i];
                    heads[s] := version;
                    changed[s] := true;
                    versions[i] := version;
                END LOOP;
                detail := head;
            ELSE
                outcomes[a] := outcome;
            END IF;
            details[a] := detail;
            w := last_write;
            e := last_event;
            a := a + 1;
        END LOOP;

        IF head > written THEN
            INSERT INTO ieum_events
                (position, stream, version, id, type, data, metadata, tags, recorded_at, crc)
                SELECT n.position, n.stream, n.version, n.id, n.type, n.data, n.metadata, n.tags,
                       recorded_at, n.crc # ieum_place_crc(n.position, n.version)
                FROM unnest(e_position, e_version, e_stream, e_id, e_type, e_data, e_metadata, e_tags,
                            e_crc) n (position, version, stream, id, type, data, metadata, tags, crc)
                WHERE n.position > written;
            INSERT INTO ieum_streams (name, version)
                SELECT n.name, n.version
                FROM unnest(streams, heads, changed) n (name, version, changed) WHERE n.changed
                ON CONFLICT (name) DO UPDATE SET version = excluded.version;
            IF cardinality(t_event) > 0 THEN
                INSERT INTO ieum_tags (tag, position)
                    SELECT n.tag, e_position[n.event] FROM unnest(t_tag, t_event) n (tag, event)
                    WHERE e_position[n.event] > written
                    ON CONFLICT DO NOTHING;
            END IF;
            written := head;
        END IF;
        EXIT WHEN a > cardinality(a_writes);
    END LOOP;

    IF head > first THEN
        UPDATE ieum_log l SET position = head WHERE l.one;
        IF tell THEN
            -- All logs of a database, each in a schema of its own, share the channel.
            PERFORM pg_notify('ieum_log', 'ieum_log'::regclass::oid::text || ' ' || head::text);
        END IF;
    END IF;
END $$;

-- The first event beyond a position with all of these tags and one of these types (any, if none).
CREATE FUNCTION ieum_find_tagged(all_of jsonb, one_of jsonb, beyond bigint) RETURNS bigint
    LANGUAGE sql VOLATILE AS $$
    SELECT t.position
    FROM ieum_tags t JOIN ieum_events e ON e.position = t.position
    WHERE t.tag = all_of ->> 0 AND t.position > beyond
        AND (jsonb_array_length(one_of) = 0 OR one_of ? e.type)
        AND NOT EXISTS (
            SELECT FROM jsonb_array_elements_text(all_of) o (tag)
            WHERE NOT EXISTS (
                SELECT FROM ieum_tags x WHERE x.tag = o.tag AND x.position = t.position))
    ORDER BY t.position LIMIT 1
$$;
