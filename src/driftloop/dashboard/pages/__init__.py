"""A module a page: what it asks the read model, and which template shows it."""
