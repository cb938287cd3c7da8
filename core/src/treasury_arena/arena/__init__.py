"""The arena: lives, rules, allocation and the cycle. It knows neither pluggy nor the configuration file."""
