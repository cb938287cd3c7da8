"""Market history from parquet and CSV files, with units, resampling rules and checks."""
