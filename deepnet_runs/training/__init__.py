"""How a network is trained: its configuration, the recipes that give its defaults, and the loop."""
