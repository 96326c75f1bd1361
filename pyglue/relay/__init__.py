"""The only way to the model: adds the API key, enforces models and budgets."""
