// The unit that the precompiled header is built with; it has no content of its own.
