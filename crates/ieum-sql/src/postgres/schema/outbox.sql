CREATE TABLE ieum_outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    error TEXT
);
CREATE INDEX ieum_outbox_pending ON ieum_outbox (id) WHERE sent_at IS NULL AND error IS NULL;
CREATE INDEX ieum_outbox_sent ON ieum_outbox (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX ieum_outbox_unsendable ON ieum_outbox (id) WHERE error IS NOT NULL;
