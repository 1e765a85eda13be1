"""Every numbered claim of Han, Papyan & Donoho (2022), checked numerically: `python -m theory_checks`."""
