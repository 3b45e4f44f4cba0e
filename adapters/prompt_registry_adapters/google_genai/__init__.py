"""The client `google-genai`: calls served and recorded, whichever object makes them; clients as models."""
