"""The paper's figures and tables from the records of runs."""
