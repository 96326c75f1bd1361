"""Control of running agents: pause, model, budgets and credit."""
