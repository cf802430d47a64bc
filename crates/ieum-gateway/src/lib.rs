//! The incoming side: route, identify, authorise, limit, compose, balance, proxy.
