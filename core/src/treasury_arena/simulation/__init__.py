"""The search kernel: plugin functions compiled as they stand inside generated loops over agents and market rows."""
