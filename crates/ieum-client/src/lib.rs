//! The outgoing side: a call to a service by name, discovered, balanced, protected and traced.
