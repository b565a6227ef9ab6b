"""The report: ledger of claims, figures and runs on one page."""
