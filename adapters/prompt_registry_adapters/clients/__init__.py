"""What adapters of bare clients share: protocols that `openai`, `anthropic` and `google-genai` speak, and one seam in their transport.

A protocol is a `Shape`: where the texts stand in the body of a request (`shape`, and a file for each protocol). `serving` replaces
texts, `calls` records a call, `streams` reads an answer that comes in pieces, `requests` wraps the transport of the clients.
"""
