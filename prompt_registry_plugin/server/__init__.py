"""HTTP servers, on loopback. Nothing else in the package imports them."""
