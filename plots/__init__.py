"""From tables to fits, figures and a report.

It reads CSV files and knows of the rest of the project only the table format
(harness.tables.table), the summaries (harness.tables.statistics) and the one error that users see
(harness.errors).
"""
