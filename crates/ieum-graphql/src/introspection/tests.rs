//! Introspection as clients see it.
