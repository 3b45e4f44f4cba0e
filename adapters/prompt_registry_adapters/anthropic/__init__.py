"""The client `anthropic`: calls served and recorded, whichever object makes them; clients as models."""
