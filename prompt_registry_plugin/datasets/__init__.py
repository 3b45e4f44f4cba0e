"""Examples, data sets, and how recorded runs become both."""
