"""What a run says: the table, `claims.json`, and `report.html` with its figures."""
