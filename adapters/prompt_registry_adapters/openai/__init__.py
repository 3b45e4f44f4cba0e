"""The client `openai`: calls served and recorded, whichever object makes them; clients as models."""
