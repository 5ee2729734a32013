"""Pages of all streams in a browser, on the read model, and orders to them."""
