"""The command `report`: a page that shows a table of results."""
