"""The animation of three classes in a plane, beside a trained network."""
