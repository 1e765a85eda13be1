"""The command of the simulation: options, input, files, tables and figures."""
