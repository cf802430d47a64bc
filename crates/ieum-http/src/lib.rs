//! HTTP on hyper: connector, TLS, connection pools, server loop, problem details, trace propagation.
