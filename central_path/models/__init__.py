"""The other models of neural collapse, run to their predicted end states: `python -m central_path.models`."""
