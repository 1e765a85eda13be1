"""Every numbered claim of Han, Papyan & Donoho (2022), checked numerically: `python -m theory_checks`."""

from central_path.cli.starting import quiet_start

quiet_start(__name__)
