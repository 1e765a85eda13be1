"""Real networks on real data: train, measure NC1-NC4 and the loss decomposition, save features."""
