CREATE TABLE ieum_idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX ieum_idempotency_by_time ON ieum_idempotency (recorded_at);
