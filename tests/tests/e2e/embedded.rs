//! The end of sessions, of the proxy and of the store: what clients are told, and what is left behind.
