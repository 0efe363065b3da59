"""The Python side of the border: the only modules that R imports. Converts and delegates."""
