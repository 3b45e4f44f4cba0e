"""What a framework adapter is built on, and what switches adapters on and off."""
