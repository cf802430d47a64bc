//! The platform: registry, gateway, log and sagas in one process, with the command line of the binary ieum.
