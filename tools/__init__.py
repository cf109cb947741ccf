"""Desktop and bench tools of edge-msk. The device never imports this."""
