//! What tests need: processes with an end, free ports, temporary folders, stub servers.
