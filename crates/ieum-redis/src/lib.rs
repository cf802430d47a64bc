//! Redis: topics and consumer groups on streams, cache, rate limits.
