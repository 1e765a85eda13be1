"""What is measured of a network: class statistics, the metrics of a row, and adversarial robustness."""
