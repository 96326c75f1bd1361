"""The operator's hold on agents at work: pause, model, budgets and credit."""
