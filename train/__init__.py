"""Desktop training of edge-msk networks: physics as the loss, no labels. The device never imports this."""
