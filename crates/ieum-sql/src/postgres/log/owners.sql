-- Begins the next epoch of a name. The lock on the head waits for appends under the epoch before, so
-- that none of them is committed after this one.
CREATE FUNCTION ieum_raise(fence text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    raised bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    PERFORM 1 FROM ieum_log l WHERE l.one FOR UPDATE;
    INSERT INTO ieum_fences AS f (name, epoch) VALUES (fence, 1)
        ON CONFLICT (name) DO UPDATE SET epoch = f.epoch + 1, holder = NULL
        RETURNING f.epoch INTO raised;
    RETURN raised;
END $$;

-- Moves a checkpoint from where its reader believes it to be. Outcomes: 0 moved, 2 fenced (the
-- epoch), 6 it was elsewhere (actual_), 5 not of this log (actual_: the log's own).
CREATE FUNCTION ieum_move_checkpoint(
    checkpoint text, from_incarnation uuid, from_position bigint,
    to_incarnation uuid, to_position bigint, fence text, fence_epoch bigint,
    OUT outcome int, OUT actual_incarnation uuid, OUT actual_position bigint
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    outcome := 0;
    IF fence IS NOT NULL THEN
        -- Held until the commit: the next epoch begins after it.
        SELECT f.epoch INTO actual_position FROM ieum_fences f WHERE f.name = fence FOR SHARE;
        actual_position := coalesce(actual_position, 0);
        IF actual_position <> fence_epoch THEN
            outcome := 2;
            RETURN;
        END IF;
    END IF;
    SELECT l.incarnation, l.position INTO actual_incarnation, actual_position FROM ieum_log l;
    IF actual_incarnation <> to_incarnation OR actual_position < to_position THEN
        outcome := 5;
        RETURN;
    END IF;
    IF from_incarnation IS NULL THEN
        INSERT INTO ieum_checkpoints (name, incarnation, position)
            VALUES (checkpoint, to_incarnation, to_position) ON CONFLICT DO NOTHING;
    ELSE
        UPDATE ieum_checkpoints k SET incarnation = to_incarnation, position = to_position
            WHERE k.name = checkpoint AND k.incarnation = from_incarnation
                AND k.position = from_position;
    END IF;
    IF NOT FOUND THEN
        outcome := 6;
        SELECT k.incarnation, k.position INTO actual_incarnation, actual_position
            FROM ieum_checkpoints k WHERE k.name = checkpoint;
    END IF;
END $$;

-- Takes each lease that still is as it was seen. It waits for appends as `ieum_raise` does.
CREATE FUNCTION ieum_take_leases(
    taker text, names text[], epochs bigint[], counts bigint[]
) RETURNS TABLE (name text, epoch bigint) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    seen record;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    PERFORM 1 FROM ieum_log l WHERE l.one FOR UPDATE;
    -- In the order of the names, as everybody who locks several.
    FOR seen IN SELECT n.lease, n.epoch, n.renewals
        FROM unnest(names, epochs, counts) n (lease, epoch, renewals) ORDER BY n.lease
    LOOP
        IF seen.epoch = 0 AND seen.renewals = 0 THEN
            RETURN QUERY INSERT INTO ieum_fences AS f (name, epoch, holder)
                VALUES (seen.lease, 1, taker) ON CONFLICT DO NOTHING RETURNING f.name, f.epoch;
        ELSE
            RETURN QUERY UPDATE ieum_fences f SET epoch = f.epoch + 1, holder = taker
                WHERE f.name = seen.lease AND f.epoch = seen.epoch AND f.renewals = seen.renewals
                RETURNING f.name, f.epoch;
        END IF;
    END LOOP;
END $$;

-- Counts each lease up whose epoch still holds. Appends go on beside it.
CREATE FUNCTION ieum_renew_leases(names text[], epochs bigint[])
RETURNS TABLE (name text, epoch bigint) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    PERFORM 1 FROM ieum_fences f JOIN unnest(names) n (lease) ON n.lease = f.name
        ORDER BY f.name FOR UPDATE OF f;
    RETURN QUERY UPDATE ieum_fences f SET renewals = f.renewals + 1
        FROM unnest(names, epochs) n (lease, epoch)
        WHERE f.name = n.lease AND f.epoch = n.epoch
        RETURNING f.name, f.epoch;
END $$;

-- Gives each lease back whose epoch still holds, and shuts out what its owner left running.
CREATE FUNCTION ieum_release_leases(names text[], epochs bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true)
        WHERE current_setting('synchronous_commit') <> 'remote_apply';
    PERFORM 1 FROM ieum_log l WHERE l.one FOR UPDATE;
    PERFORM 1 FROM ieum_fences f JOIN unnest(names) n (lease) ON n.lease = f.name
        ORDER BY f.name FOR UPDATE OF f;
    UPDATE ieum_fences f SET epoch = f.epoch + 1, holder = NULL
        FROM unnest(names, epochs) n (lease, epoch)
        WHERE f.name = n.lease AND f.epoch = n.epoch;
END $$;
