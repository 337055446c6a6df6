"""Settings of parts: written once, in the constructor that takes them, with their ranges."""
