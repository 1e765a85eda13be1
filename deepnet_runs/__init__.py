"""Real networks on real data: train, measure NC1-NC4 and the loss decomposition, save features."""

from central_path.cli.starting import quiet_start

quiet_start(__name__)
