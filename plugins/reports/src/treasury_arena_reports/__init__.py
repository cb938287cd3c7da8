"""Tables, charts and a self-contained HTML report of a run."""
