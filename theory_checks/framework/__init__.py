"""What claims are made of: the registry, verdicts, random instances, the paper's definitions, paths along flows."""
