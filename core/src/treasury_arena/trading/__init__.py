"""Trading: the only layer that calls a protocol. Intents become validated, reserved, settled orders."""
