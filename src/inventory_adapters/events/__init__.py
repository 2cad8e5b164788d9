"""Events for other systems: their format, webhooks, and the publisher of a deployment."""
