"""The command `batch`: the rows of a manifest tracked, here or on other machines."""
