-- Which categories of the log are topics: those that were published to or joined.
CREATE TABLE ieum_topics (
    name text COLLATE "C" PRIMARY KEY
);

-- A group's term, how often its worker said in it that it is alive, and its checkpoint.
CREATE TABLE ieum_groups (
    topic text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    member text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    renewals bigint NOT NULL DEFAULT 0,
    incarnation uuid NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (topic, name)
);

-- The messages that a group gave up on (`behind` is null), and those that wait behind one on its
-- key. They are named by their place in the log, so that erasing them there erases them here.
CREATE TABLE ieum_dead_letters (
    topic text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    behind bigint,
    reason text,
    recorded_at bigint NOT NULL,
    PRIMARY KEY (topic, name, position)
);
CREATE INDEX ieum_dead_letters_by_key ON ieum_dead_letters (topic, name, key, position);

-- Every function below changes one group in one call: it first locks the group's row, then looks at
-- what it decides by. What it refuses it raises: IE001 superseded, IE002 no room, IE003 makes no
-- sense; nothing is changed then.

CREATE FUNCTION ieum_note_topic(of_topic text, most bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    INSERT INTO ieum_topics (name) VALUES (of_topic) ON CONFLICT DO NOTHING;
    IF FOUND AND (SELECT count(*) FROM ieum_topics) > most THEN
        RAISE EXCEPTION 'there are at most % topics', most USING ERRCODE = 'IE002';
    END IF;
END $$;

-- Begins the next term with `new_member` as the worker. Another name than the last worker's gets it
-- only if the row still stands as it was `seen`: whoever asks saw it stand still for a lease.
CREATE FUNCTION ieum_group_join(
    of_topic text, of_name text, new_member text, seen_epoch bigint, seen_renewals bigint,
    most bigint, OUT joined boolean, OUT term bigint, OUT renewed bigint
) LANGUAGE plpgsql AS $$
DECLARE
    found_row ieum_groups;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    INSERT INTO ieum_groups (topic, name, member, epoch, incarnation, position)
        SELECT of_topic, of_name, new_member, 0, incarnation, 0 FROM ieum_log
        ON CONFLICT DO NOTHING;
    IF FOUND AND (SELECT count(*) FROM ieum_groups WHERE topic = of_topic) > most THEN
        RAISE EXCEPTION 'topic `%` takes at most % groups', of_topic, most USING ERRCODE = 'IE002';
    END IF;
    SELECT * INTO STRICT found_row FROM ieum_groups
        WHERE topic = of_topic AND name = of_name FOR UPDATE;
    joined := found_row.member = new_member
        OR (found_row.epoch = seen_epoch AND found_row.renewals = seen_renewals);
    term := found_row.epoch;
    renewed := found_row.renewals;
    IF joined THEN
        term := term + 1;
        renewed := renewed + 1;
        UPDATE ieum_groups SET member = new_member, epoch = term, renewals = renewed
            WHERE topic = of_topic AND name = of_name;
    END IF;
END $$;

-- The group's row, locked, if `of_epoch` is its term and its checkpoint belongs to this log.
CREATE FUNCTION ieum_group_current(of_topic text, of_name text, of_epoch bigint) RETURNS ieum_groups
LANGUAGE plpgsql AS $$
DECLARE
    found_row ieum_groups;
    head ieum_log;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'groups are changed under READ COMMITTED only' USING ERRCODE = 'IE003';
    END IF;
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    SELECT * INTO found_row FROM ieum_groups
        WHERE topic = of_topic AND name = of_name AND epoch = of_epoch FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'group `%`', of_name USING ERRCODE = 'IE001';
    END IF;
    SELECT * INTO STRICT head FROM ieum_log;
    IF found_row.incarnation <> head.incarnation OR found_row.position > head.position THEN
        RAISE EXCEPTION
            'group `%` has come to % in another incarnation of the log: set its checkpoint anew',
            of_name, found_row.position USING ERRCODE = 'IE003';
    END IF;
    RETURN found_row;
END $$;

CREATE FUNCTION ieum_group_check_room(of_topic text, of_name text, most bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM ieum_dead_letters WHERE topic = of_topic AND name = of_name) > most THEN
        RAISE EXCEPTION
            'group `%` of `%` has % dead letters and parked messages, which is the limit',
            of_name, of_topic, most USING ERRCODE = 'IE002';
    END IF;
END $$;

-- Moves the checkpoint, never back, and parks what it passes on parked keys.
CREATE FUNCTION ieum_group_advance(
    of_topic text, of_name text, of_epoch bigint, up_to bigint, most bigint, now_is bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before ieum_groups := ieum_group_current(of_topic, of_name, of_epoch);
BEGIN
    IF up_to > (SELECT position FROM ieum_log) THEN
        RAISE EXCEPTION 'position % lies beyond the end of the log', up_to USING ERRCODE = 'IE003';
    END IF;
    IF up_to <= before.position THEN
        RETURN;
    END IF;
    INSERT INTO ieum_dead_letters (topic, name, position, key, behind, recorded_at)
        SELECT of_topic, of_name, e.position, k.key, k.first, now_is
        FROM (SELECT key, min(position) AS first FROM ieum_dead_letters
              WHERE topic = of_topic AND name = of_name GROUP BY key) k
        JOIN ieum_events e ON e.stream = of_topic || '-' || k.key
        WHERE e.position > before.position AND e.position <= up_to
        ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM ieum_group_check_room(of_topic, of_name, most);
    END IF;
    UPDATE ieum_groups SET position = up_to, renewals = renewals + 1
        WHERE topic = of_topic AND name = of_name;
END $$;

-- Keeps the message at `place` as a dead letter, parks its key, and moves the checkpoint past it.
CREATE FUNCTION ieum_group_give_up(
    of_topic text, of_name text, of_epoch bigint, place bigint, why text, most bigint, now_is bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before ieum_groups := ieum_group_current(of_topic, of_name, of_epoch);
    its_key text;
    first bigint;
BEGIN
    SELECT substr(stream, length(of_topic) + 2) INTO its_key FROM ieum_events
        WHERE position = place AND category = of_topic;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no message at % in `%`', place, of_topic USING ERRCODE = 'IE003';
    END IF;
    IF place <= before.position THEN
        RETURN;
    END IF;
    PERFORM ieum_group_advance(of_topic, of_name, of_epoch, place, most, now_is);
    SELECT min(position) INTO first FROM ieum_dead_letters
        WHERE topic = of_topic AND name = of_name AND key = its_key;
    INSERT INTO ieum_dead_letters (topic, name, position, key, behind, reason, recorded_at)
        VALUES (of_topic, of_name, place, its_key, first, CASE WHEN first IS NULL THEN why END, now_is)
        ON CONFLICT DO NOTHING;
    PERFORM ieum_group_check_room(of_topic, of_name, most);
END $$;

-- Sets the checkpoint, forwards or back, and begins a term that nobody works in.
CREATE FUNCTION ieum_group_seek(of_topic text, of_name text, to_place bigint, OUT term bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    IF to_place > (SELECT position FROM ieum_log) THEN
        RAISE EXCEPTION 'position % lies beyond the end of the log', to_place
            USING ERRCODE = 'IE003';
    END IF;
    UPDATE ieum_groups g SET position = to_place, epoch = g.epoch + 1, incarnation = l.incarnation
        FROM ieum_log l WHERE g.topic = of_topic AND g.name = of_name RETURNING g.epoch INTO term;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'topic `%` has no group `%`', of_topic, of_name USING ERRCODE = 'IE003';
    END IF;
END $$;

-- Forgets what was set aside on a key and begins a term that nobody works in; with `again` it also
-- goes back to the first of it, in the same transaction: in between, the worker would pass it over.
CREATE FUNCTION ieum_group_release(
    of_topic text, of_name text, of_key text, again boolean, OUT forgotten bigint
) LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    PERFORM 1 FROM ieum_groups WHERE topic = of_topic AND name = of_name FOR UPDATE;
    SELECT min(position) INTO first FROM ieum_dead_letters
        WHERE topic = of_topic AND name = of_name AND key = of_key;
    DELETE FROM ieum_dead_letters WHERE topic = of_topic AND name = of_name AND key = of_key;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    IF forgotten = 0 THEN
        RETURN;
    END IF;
    IF again THEN
        PERFORM ieum_group_seek(of_topic, of_name, first - 1);
    ELSE
        UPDATE ieum_groups SET epoch = epoch + 1 WHERE topic = of_topic AND name = of_name;
    END IF;
END $$;
