//! Durable sagas on the log: definitions as data, intent before each call, undo in reverse, resume after a restart.
