//! Pass-through fidelity: answers through the proxy are, byte for byte, those of the store.
