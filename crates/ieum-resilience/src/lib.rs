//! Protections as tower layers: timeout, retry with budget, circuit breaker, bulkhead, rate limit, fallback.
