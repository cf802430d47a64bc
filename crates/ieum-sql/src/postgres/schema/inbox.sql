CREATE TABLE ieum_inbox (
    consumer TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (consumer, source, id)
);
CREATE INDEX ieum_inbox_by_time ON ieum_inbox (received_at);
