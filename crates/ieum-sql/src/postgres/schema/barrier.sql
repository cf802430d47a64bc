CREATE TABLE ieum_barrier (
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    round BIGINT NOT NULL,
    op TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (saga, step, round, op)
);
CREATE INDEX ieum_barrier_by_time ON ieum_barrier (recorded_at);
CREATE TABLE ieum_barrier_epochs (
    saga TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
CREATE INDEX ieum_barrier_epochs_by_time ON ieum_barrier_epochs (seen_at);
