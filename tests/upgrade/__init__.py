"""A registry file that version 0.1.0 wrote, and what that version showed of it."""
